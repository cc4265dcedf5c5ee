"""What decides. Knows no wire, cluster, bucket or database."""
