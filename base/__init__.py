"""Settings, logs, metrics and health: what every room may import and what imports nothing of ours."""
