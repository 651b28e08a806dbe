"""Images as uint8 arrays with three named splits: found, verified, fetched. Needs neither torch nor Ray."""
