"""Sorted units: analyzer, quality metrics, curation, accuracy."""
