"""Pictures of a recording as it was stored, for a person to look at or to print."""
