"""The check that a plugin's declaration imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys

from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import KINDS, plural
from seqbench.testing.plugin_checks.results import Violation


def declares_lightly(choice: Choice) -> None:
    """Check, in a new Python process, that a plugin's hooks can be called without torch.

    Raises:
        Violation: the plugin does not load, or imports torch.
    """
    code = (
        "import importlib.metadata, sys\n"
        "for point in importlib.metadata.distribution(sys.argv[1]).entry_points:\n"
        "    if point.group == 'seqbench':\n"
        "        found = point.load()\n"
        "        for kind in sys.argv[2:]:\n"
        "            getattr(found, f'seqbench_{kind}', list)()\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, choice.distribution, *map(plural, KINDS)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if done.returncode:
        raise Violation("a plugin that loads", done.stderr.strip().rpartition("\n")[2])
    if done.stdout.split()[-1:] == ["True"]:
        raise Violation(
            "a plugin declaration that does not import torch",
            "it imports torch: import it in the module named by `build`, not in that of the hooks",
        )
