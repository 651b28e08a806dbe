"""The files on disk: the layout of a study's folder, and its writing and reading side. Needs neither torch nor Ray."""
