"""Wire types, generated from protos/ at build time."""
