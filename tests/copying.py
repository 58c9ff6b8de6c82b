"""The copying task, as a dataset of the tests: symbols, blanks, and the symbols again.

Arjovsky, Shah and Bengio 2016 (arXiv 1511.06464), section 5.1: ``count`` symbols of eight, then
``blanks`` steps, the last of which asks for the symbols, which are the targets of the last
``count`` steps. No other step counts here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seqbench.types import IGNORED, Task

SYMBOLS, BLANK, ASK = 8, 8, 9


def task_of(blanks: int, count: int = 10) -> Task:
    return Task("tokens", 10, "label_per_step", SYMBOLS, blanks + 2 * count, causal=True)


def draw(seed: int, size: int, *, blanks: int, count: int = 10) -> tuple[Any, Any]:
    random = np.random.RandomState(seed)
    symbols = random.randint(0, SYMBOLS, size=(size, count))
    x = np.full((size, blanks + 2 * count), BLANK)
    x[:, :count] = symbols
    x[:, -count - 1] = ASK
    y = np.full_like(x, IGNORED)
    y[:, -count:] = symbols
    return x, y
