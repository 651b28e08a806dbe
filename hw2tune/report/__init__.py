"""WHAT WAS LEARNED: tables, statistics, figures, the page. Needs neither torch nor Ray."""
