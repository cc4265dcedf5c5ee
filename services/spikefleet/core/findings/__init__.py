"""What a preflight says: findings, their catalogue, and the registry of checks that make them."""
