"""``python -m seqbench`` is the same program as ``seqbench``."""

from seqbench.cli import main

main()
