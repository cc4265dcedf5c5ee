"""Where bytes are: artifacts behind one Protocol, and how they are read."""
