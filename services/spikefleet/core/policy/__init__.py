"""What to do about a failure: pure functions of failure and history."""
