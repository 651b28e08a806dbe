"""The study doctor: findings on a study's search and replicates, each with its evidence and its remedy."""
