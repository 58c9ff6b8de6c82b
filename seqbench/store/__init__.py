"""Reads and writes run folders; also the atomic file writer that the cache uses."""
