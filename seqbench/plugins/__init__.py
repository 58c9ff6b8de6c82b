"""Plugin packages: discovery, their offers and origins, and what suites choose from them."""
