"""Starter packages and suites: templates, and the code that fills them in."""
