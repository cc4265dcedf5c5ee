"""How each room is built from settings and adapters, one module per room."""
