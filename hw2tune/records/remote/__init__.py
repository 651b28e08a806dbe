"""Results behind a URL: a store of whole files, and the working copy that follows it."""
