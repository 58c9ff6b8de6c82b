"""From a YAML file to a Suite: which models, on which datasets, trained and measured how.

``strict_yaml`` reads strict YAML, ``files`` merges includes and overrides, ``keys`` says which keys
there are and ``values`` what each may hold, ``validate`` checks the whole against the plugins,
``messages`` phrases what is wrong.
"""
