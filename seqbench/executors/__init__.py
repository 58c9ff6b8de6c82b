"""Where jobs run. An extension point: each executor is a file in this folder."""
