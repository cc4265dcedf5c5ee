"""Does this machine have what the sort needs? Facts, checks, and the probe of the GPU."""
