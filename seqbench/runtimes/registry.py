"""The runtimes that come with seqbench. Importing this costs no torch.

A new one is a file beside these and an entry here. Runtimes of plugins come through the hook
``seqbench_runtimes``.
"""

from __future__ import annotations

from seqbench.types import RuntimeSpec

#: The plain model: every other runtime must give its answers.
EAGER = "eager"

BUILT_IN = {
    spec.name: spec
    for spec in (
        RuntimeSpec(EAGER, "seqbench.runtimes.eager:prepare", "The model as it is, in eager mode"),
        RuntimeSpec("compile", "seqbench.runtimes.compile:prepare", "torch.compile, fixed shapes"),
    )
}
