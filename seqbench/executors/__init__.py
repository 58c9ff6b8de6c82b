"""Where jobs run. An extension point: a new executor is a file beside these."""
