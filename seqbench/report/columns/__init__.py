"""What a table holds."""
