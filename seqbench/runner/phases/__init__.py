"""The phases of a run, in the order in which they happen."""
