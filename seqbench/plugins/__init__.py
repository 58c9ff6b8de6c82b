"""Plugin packages: finding them, what they provide, and what suites choose."""
