"""The verdict of a run in sentences: who leads, whether that is certain, what would settle it."""
