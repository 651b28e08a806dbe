"""The trained network in the user's hands: as a file that other programs load, and as predictions of image files."""
