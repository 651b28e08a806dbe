"""The page: sections of blocks, rendered as HTML and as Markdown."""
