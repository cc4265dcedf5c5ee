"""State and bytes: runs in SQL, artifacts in a store."""
