"""Checkpoints of a training: saved now and then, so that it can continue after it was killed.

A training that continues ends with the same bits as an undisturbed one. A checkpoint is a file of
torch that holds tensors and plain data only, and no pickled object is loaded from it.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy
import torch

from seqbench.devices.registry import device_for
from seqbench.store.files import replace_file


class Checkpoints:
    """The file with the last checkpoint of a trial.

    Args:
        path: the file, which need not exist.
        every: seconds between two checkpoints.
        identity: of everything that the training depends on; a checkpoint of another is ignored.
    """

    def __init__(self, path: Path, every: float, identity: str):
        self._path, self._every, self._identity = path, every, identity
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self._last >= self._every

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint. One that cannot be written is left out, with a line in the log of
        the trial: the training itself does not need it.
        """
        try:
            with replace_file(self._path) as partial:
                torch.save({"identity": self._identity, "state": state}, partial)
        except (OSError, RuntimeError) as error:  # torch raises the latter if a disk is full
            print(f"no checkpoint: cannot write {self._path}: {error}", file=sys.stderr)
        self._last = time.monotonic()

    def give_up(self, why: str) -> None:
        """Save no more checkpoints, with a line in the log of the trial."""
        print(f"no checkpoint: {why}", file=sys.stderr)
        self._every = math.inf

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state of the last checkpoint, with tensors on ``device``; None if there is none, or
        it is damaged or of another training.
        """
        try:
            found = torch.load(self._path, map_location=device, weights_only=True)
            same = found["identity"] == self._identity
            return found["state"] if same else None
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, pickle.UnpicklingError):
            return None

    def delete(self) -> None:
        """Delete the checkpoint, if there is one."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every generator that a model may draw from."""
    drawn: Any = numpy.random.get_state()
    name, keys, *rest = drawn
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype("int64")), *rest],
        "python": random.getstate(),
    }
    own = device_for(str(device)).random_state(device)
    return state if own is None else {**state, "device": own}


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Restore what :func:`random_state` returned."""
    torch.set_rng_state(state["torch"].cpu())
    name, keys, *rest = state["numpy"]
    numpy.random.set_state((name, keys.cpu().numpy().astype("uint32"), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    if "device" in state:
        device_for(str(device)).set_random_state(state["device"], device)
