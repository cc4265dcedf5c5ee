"""One file per sorter: everything the service must know of it without importing it."""
