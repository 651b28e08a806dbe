"""Numbers, durations and configurations as words, the same in terminal and report."""
