"""Exports to the formats of other tools, one file each. To add one: a file here and an entry in
``registry.py``.
"""
