"""From a YAML file to a Suite: which models, on which datasets, trained and measured how.

``strict_yaml`` parses strict YAML, ``files`` merges
includes, ``overrides`` sets single values, ``keys`` defines the
keys and ``values`` the types of their values, ``validate`` validates everything against the
plugins, ``messages`` turns pydantic's errors into messages.
"""
