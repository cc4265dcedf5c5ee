"""The same sorter on a short stretch first."""
