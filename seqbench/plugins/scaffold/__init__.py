"""Packages to begin with: templates, and how they are filled in."""
