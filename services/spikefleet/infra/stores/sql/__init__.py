"""What is remembered in a database: recordings, uploads, batches, runs."""
