"""A fetched run as the files that other tools open."""
