"""Replicates and finished trainings on disk."""
