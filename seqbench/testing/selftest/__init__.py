"""The instrument's own test: the real measuring path on models whose truth is known."""
