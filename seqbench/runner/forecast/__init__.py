"""How long a run will take: before it starts, and while it runs."""
