"""Measurements: ratios within one run, against the peer or the physical limit."""
