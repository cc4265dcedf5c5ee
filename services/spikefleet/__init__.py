"""spikefleet: a spike-sorting service for a whole neuroscience facility."""
