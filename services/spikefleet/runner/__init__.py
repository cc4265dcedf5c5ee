"""One attempt: a parent that outlives the sorter, and the child that sorts."""
