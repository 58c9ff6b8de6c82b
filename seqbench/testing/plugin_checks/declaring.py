"""Whether declaring a plugin is as light as it must be."""

from __future__ import annotations

import os
import subprocess
import sys

from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import KINDS
from seqbench.testing.plugin_checks.results import Violation


def declares_lightly(choice: Choice) -> None:
    """Whether a plugin's hooks can be called without torch; asked of a fresh Python.

    Raises:
        Violation: they cannot.
    """
    code = (
        "import importlib.metadata, sys\n"
        "for point in importlib.metadata.distribution(sys.argv[1]).entry_points:\n"
        "    if point.group == 'seqbench':\n"
        "        found = point.load()\n"
        "        for kind in sys.argv[2:]:\n"
        "            getattr(found, f'seqbench_{kind}s', list)()\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, choice.distribution, *KINDS],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if done.returncode:
        raise Violation("the plugin to load", done.stderr.strip().rpartition("\n")[2])
    if done.stdout.split()[-1:] == ["True"]:
        raise Violation(
            "that declaring the plugin imports no torch",
            "it does: import it in the module that `build` names, not in the one with the hooks",
        )
