"""Recordings: reading, preparing, measuring and simulating them. Imports nothing by itself."""
