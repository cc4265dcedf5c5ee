"""The configuration of a sort: frozen groups, presets, flat names, JSON Schema."""
