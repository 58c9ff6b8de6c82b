"""Resuming a run: what is kept, what is done again, and why."""
