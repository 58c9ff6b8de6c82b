"""From a suite to what will be run."""
