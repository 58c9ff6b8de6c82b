"""The tree of keys of a suite that is validated, and the problems found in it."""

from __future__ import annotations

from dataclasses import dataclass

from seqbench.suite.strict_yaml import KeyPath, Node, Problems, dotted


@dataclass
class Tree:
    """A suite as it was read, and the problems found so far."""

    root: Node
    problems: Problems

    def problem(self, path: KeyPath, message: str, hint: str = "", at_key: bool = False) -> None:
        """Add a problem at ``path``, unless one was already reported there."""
        chain = self.root.chain(path)
        if any(node.broken for node in chain):
            return
        node = chain[-1]
        at_key = at_key or len(chain) <= len(path)
        mark = node.key if at_key and node.key else node.mark
        self.problems.add(mark, message, hint, dotted(path))
