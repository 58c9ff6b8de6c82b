"""The plugins that ship with seqbench, one subpackage for each entry point.

They use the public hooks like any third-party package. No subpackage imports another, so that the
source of each is its own folder (see :mod:`seqbench.plugins.provenance`).
"""
