"""The columns of result tables."""
