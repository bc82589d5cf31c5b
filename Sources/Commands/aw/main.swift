print("aw")
