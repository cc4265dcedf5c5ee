"""The room that owns every run from submission to its recorded end."""
