"""Checks of the contract that plugins must fulfill (see docs/plugins.md)."""
