"""Ways to run a trained model. To add a runtime: a file here and a line in ``registry.py``."""
