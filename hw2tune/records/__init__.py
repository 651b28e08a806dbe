"""What is on disk: the layout of a study's folder, and its reading and writing side."""
