"""What a job is given beside its payload: where its files are, and a line to the runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.workers.channel import Channel


@dataclass(frozen=True)
class Workspace:
    """Where the files of jobs are on the machine that runs them.

    Payloads name files relative to these folders, so that a job can run on another machine.

    Args:
        run: the run's folder: weights, logs, samples.
        cache: prepared datasets and downloads.
        data_dir: where the user keeps datasets, if anywhere.
    """

    run: Path
    cache: Path
    data_dir: Path | None = None

    def absolute(self) -> Workspace:
        """The same folders, whatever the working directory becomes."""
        data_dir = None if self.data_dir is None else self.data_dir.absolute()
        return Workspace(self.run.absolute(), self.cache.absolute(), data_dir)

    def to_json(self) -> dict[str, str | None]:
        """As plain data for a worker."""
        data_dir = None if self.data_dir is None else str(self.data_dir)
        return {"run": str(self.run), "cache": str(self.cache), "data_dir": data_dir}

    @classmethod
    def from_json(cls, value: Mapping[str, str | None]) -> Workspace:
        """What :meth:`to_json` made."""
        data_dir = value["data_dir"]
        return cls(
            Path(str(value["run"])), Path(str(value["cache"])), Path(data_dir) if data_dir else None
        )


@dataclass(frozen=True)
class JobContext:
    """What a job function is given beside its payload."""

    workspace: Workspace
    channel: Channel

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message to the runner (see :mod:`seqbench.workers.messages`)."""
        self.channel.send(message)

    def receive(self) -> dict[str, Any]:
        """Waits for the next request of the runner. Raises EOFError: it is gone."""
        return self.channel.receive()
