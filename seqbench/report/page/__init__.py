"""The page: a run, or several, as one HTML file that works without a network."""
