"""Opening, preparing, measuring and simulating recordings."""
