"""What the replicates say: intervals, paired tests, claims."""
