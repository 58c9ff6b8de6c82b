"""Hardware. An extension point: a new device is a file beside these and a line in the registry."""
