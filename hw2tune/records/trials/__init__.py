"""Trials on disk: Optuna's journal, and a folder a trial."""
