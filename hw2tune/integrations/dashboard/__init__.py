"""Studies in optuna-dashboard: their journals are read as they grow and never written to."""
