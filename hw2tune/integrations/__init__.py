"""Where users already are: loggers and dashboards of others."""
