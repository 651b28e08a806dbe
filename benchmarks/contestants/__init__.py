"""What the comparisons run beside hw2tune, each a whole process of its own."""
