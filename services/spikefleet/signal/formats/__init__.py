"""Readers, one file for each format, and what they share. Imports nothing by itself."""
