"""The user's own code: what a study names, read as text, and imported where it trains."""
