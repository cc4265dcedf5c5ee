"""What measurements and counts add to a sorter's complaint."""
