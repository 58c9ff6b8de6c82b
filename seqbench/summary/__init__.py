"""A run as one JSON document; every derived figure is computed here."""
