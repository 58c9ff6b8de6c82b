"""Export formats. To add one: a file here and a line in the built-in plugin package ``reports``."""
