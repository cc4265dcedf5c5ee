"""The room that applies quality thresholds to sorted units."""
