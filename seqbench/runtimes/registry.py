"""The runtimes that seqbench knows. Importing this costs no torch."""

from __future__ import annotations

#: How a model can be run; seqbench.measure.cells has what each does.
RUNTIMES = ("eager", "compile")
