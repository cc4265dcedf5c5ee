"""The room that looks at a recording before a sorter does."""
