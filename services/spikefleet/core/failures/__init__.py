"""Failures: the table, the classes, the classifier."""
