"""Inference from the replicates: intervals, paired tests, claims."""
