"""What rooms ask of each other and answer: each value once, used on both sides of a call."""
