"""Export formats: CSV, Markdown, LaTeX, JSON."""
