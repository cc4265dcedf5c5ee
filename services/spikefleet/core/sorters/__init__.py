"""What is known of the sorters without starting one: catalogue, parameters, progress."""
