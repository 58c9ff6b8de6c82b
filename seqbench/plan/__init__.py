"""From a suite to a plan: all cases and trials, each with its id."""
