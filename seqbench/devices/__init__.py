"""Supported hardware. To add a device: a file here and a line in ``registry.py``."""
