"""Resuming a run: what is kept, what is run again, and why."""
