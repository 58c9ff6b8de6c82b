"""One process for one job."""
