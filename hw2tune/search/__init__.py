"""WHICH configuration is trained next, and which trial is stopped: Optuna, and no Ray."""
