"""The outside: databases, stores, processes, wires."""
