"""Measurement of each quantity, in workers. The protocol is docs/measuring.md."""
