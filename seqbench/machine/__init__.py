"""The host machine: its limits, load, steadiness and environment."""
