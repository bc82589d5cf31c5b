enum WorkRoom {}
