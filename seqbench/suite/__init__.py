"""A suite: one YAML file that says which models, on which datasets, trained and measured how.

``yaml_source`` reads strict YAML, ``source`` puts files and overrides together, ``shape`` says
which keys there are, ``load`` checks it all against the plugins, ``words`` says what is wrong.
"""

from seqbench.suite.load import load_suite, parse_suite
from seqbench.suite.shape import Entry, ModelEntry, Suite, Training

__all__ = [
    "Entry",
    "ModelEntry",
    "Suite",
    "Training",
    "load_suite",
    "parse_suite",
]
