"""Values <-> messages, both ways, cut by room: the only place that knows both. Decides nothing."""
