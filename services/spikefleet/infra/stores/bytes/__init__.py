"""Where bytes lie: artifacts behind one Protocol, and how they are read."""
