"""HOW one configuration is trained: models, the loop, its state."""
