enum OpenClawRoom {}
