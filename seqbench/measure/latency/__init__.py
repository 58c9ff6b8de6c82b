"""Latency and throughput of models that take turns."""
