"""The document: a run as JSON, with all derived figures."""
