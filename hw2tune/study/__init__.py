"""WHAT is searched: study files, the search space, the published configurations."""
