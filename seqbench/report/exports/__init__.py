"""Tables as files: CSV, Markdown, LaTeX, JSON."""
