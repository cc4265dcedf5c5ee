"""Sorters, one file each, behind one contract."""
