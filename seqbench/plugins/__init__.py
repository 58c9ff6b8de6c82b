"""What exists: plugin packages, what they declare and where it came from."""
