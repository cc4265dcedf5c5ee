"""The operating system: processes that may do little, and how they are started and ended."""
