"""Views of a run besides its result tables: pairs, memory, confusion matrices; as data."""
