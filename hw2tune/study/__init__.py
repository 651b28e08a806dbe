"""Subject of a search: study files, the search space, the published configurations."""
