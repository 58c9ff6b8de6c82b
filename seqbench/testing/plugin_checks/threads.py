"""The number of CPU threads of the checks in a package's own tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class CheckThreads:
    """Runs checks on one CPU thread in a process that also runs other code, such as pytest.

    ``seqbench check`` uses one thread, too. The inputs are too small for more, and on a busy
    machine torch's threads wait for each other: each operation then takes milliseconds.
    """

    def __init__(self) -> None:
        self._threads = 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set torch's number of threads, and restore it afterwards.

        If a plugin changes the number, the next check starts with the changed one, so that the
        check `globals` still sees it.
        """
        outside = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            self._threads = torch.get_num_threads()
            torch.set_num_threads(outside)
