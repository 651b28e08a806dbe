"""Hyperparameter studies for small vision networks, with claims that hold."""

__version__ = "0.1.0"
