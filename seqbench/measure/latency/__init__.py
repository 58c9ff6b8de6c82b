"""Latency and throughput of models, timed interleaved."""
