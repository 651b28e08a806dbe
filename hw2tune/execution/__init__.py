"""WHERE trials run: Ray, its machines and what they take. Whoever connects has settled the environment before."""
