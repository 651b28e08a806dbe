"""WHERE and WHICH: Ray Tune executes, Optuna decides."""
