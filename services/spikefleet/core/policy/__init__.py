"""What to do about a failure: a pure function of failure, history and policy."""
