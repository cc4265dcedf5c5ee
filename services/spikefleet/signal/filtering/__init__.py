"""The band-pass and the compiled loops beneath it."""
