"""From a dataset and a model to trained weights."""
