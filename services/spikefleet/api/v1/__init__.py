"""Messages and stubs of spikefleet.api.v1; generated, never committed."""
