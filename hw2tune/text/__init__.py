"""Errors, numbers, durations and configurations as text, the same everywhere; `plain` knows nothing of studies."""
