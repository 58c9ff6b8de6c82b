"""What a plugin must keep to, as checks that anyone can run (see docs/plugins.md)."""
