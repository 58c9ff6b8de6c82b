"""The built-in runtimes. Importing this module does not import torch.

To add one, add a file to this folder and an entry here. Plugins provide runtimes through the hook
``seqbench_runtimes``.
"""

from __future__ import annotations

from seqbench.types import RuntimeSpec

#: The plain model, with which the answers of all other runtimes are compared.
EAGER = "eager"

BUILT_IN = {
    spec.name: spec
    for spec in (
        RuntimeSpec(EAGER, "seqbench.runtimes.eager:prepare", "The model as it is, in eager mode"),
        RuntimeSpec("compile", "seqbench.runtimes.compile:prepare", "torch.compile, fixed shapes"),
    )
}
