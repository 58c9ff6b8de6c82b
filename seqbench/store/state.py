"""``run.json``: the status of a run, and how long it took."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from seqbench.records import FORMAT
from seqbench.store.json_files import read_json_or, write_json
from seqbench.store.lock import RunLock

RUN_FILE = "run.json"

LOG_FILE = "run.log"

#: The type of each entry of run.json.
KINDS: Mapping[str, Any] = {
    "format": int, "suite": str, "status": str, "started": str, "seconds": (int, float),
    "leg": str, "file": str, "place": str, "selection": dict,
}  # fmt: skip


class RunState:
    """Reads and writes ``run.json``. One damaged entry does not hide the others."""

    def __init__(self, folder: Path, lock: RunLock):
        self._folder, self._lock = folder, lock

    def create(self, suite: str, started: datetime) -> None:
        """Write the file of a new run."""
        state = {"format": FORMAT, "suite": suite, "status": "running"}
        self._write({**state, "started": started.isoformat(timespec="seconds")})

    def read(self) -> dict[str, Any]:
        """``format``, ``suite``, ``status`` (running, finished, interrupted, failed; killed if the
        file says running but no runner is using the folder), ``started``, …
        """
        name = self._folder.absolute().parent.name
        state = {"format": FORMAT, "suite": name, "status": "damaged", **self._sound()}
        if state["status"] == "running" and not self._lock.in_use():
            state["status"] = "killed"
        return state

    def set(self, status: str, **more: Any) -> None:
        """Set the status, and update other entries."""
        self._write({**self.read(), **more, "status": status})

    def begin(self, seconds: float, **more: Any) -> None:
        """Record that a runner starts; ``seconds``: time used by earlier ones."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        taken = {"seconds": seconds} if seconds else {}
        # What is written from now on has this format, which older versions must not read.
        self.set("running", **taken, leg=now, **more, format=FORMAT)

    def seconds(self, checkpoints: Path) -> float:
        """Seconds used by earlier runners; for a killed one, until the last line of the log, or
        the last checkpoint.

        Args:
            checkpoints: the folder of the run's checkpoints, which need not exist.

        Call while holding the lock, before :meth:`begin`.
        """
        state = self._sound()
        known = state.get("seconds") or 0.0
        if state.get("status") == "running" and "leg" in state:
            with contextlib.suppress(OSError, ValueError, TypeError):
                signs = [self._folder / LOG_FILE, *checkpoints.glob("*.pt")]
                last = max(file.stat().st_mtime for file in signs)
                known += max(0.0, last - datetime.fromisoformat(state["leg"]).timestamp())
        return round(known, 3)

    def _sound(self) -> dict[str, Any]:
        """The entries of the file, without those of a wrong type."""
        return {
            name: value
            for name, value in read_json_or(self._folder / RUN_FILE, {}).items()
            if isinstance(value, KINDS.get(name, object))
            # Comparing also finds whole numbers that are too large for a float.
            and not (isinstance(value, (int, float)) and not abs(value) <= sys.float_info.max)
            and not (name in ("seconds", "format") and isinstance(value, bool))
        }

    def _write(self, state: Mapping[str, Any]) -> None:
        write_json(self._folder / RUN_FILE, state)
