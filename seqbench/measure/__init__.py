"""How each quantity is measured. Runs in workers; docs/measuring.md is the protocol."""
