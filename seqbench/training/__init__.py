"""Training: dataset and model → trained weights."""
