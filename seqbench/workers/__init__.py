"""Worker processes: each runs one job."""
