"""Ways to run a trained model.

An extension point: add a file to this folder and a line to the registry.
"""
