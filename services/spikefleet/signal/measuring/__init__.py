"""What a recording's samples say about it."""
