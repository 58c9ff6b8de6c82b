"""Where jobs run. To add an executor: a file here and a line in ``registry.py``."""
