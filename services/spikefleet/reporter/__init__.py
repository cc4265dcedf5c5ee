"""The room that writes the record of a run for people and programs."""
