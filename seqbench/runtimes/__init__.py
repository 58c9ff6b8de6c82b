"""Ways to run a trained model.

An extension point: a new runtime is a file beside these and a line in the registry.
"""
