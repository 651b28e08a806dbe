"""A study's results as LaTeX and figures for a paper."""
