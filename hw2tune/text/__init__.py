"""Numbers, durations and configurations as text, the same in terminal and report."""
