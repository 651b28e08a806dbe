"""Inference from replicates: evidence on a claim, intervals, verdicts. numpy and scipy only, without torch and Ray."""
