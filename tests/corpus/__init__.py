"""How sorters really fail: recorded ends of attempts, and the small signals that bring them on."""
