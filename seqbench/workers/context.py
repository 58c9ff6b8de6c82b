"""What a job receives besides its payload: its workspace, and a channel to the runner."""

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
        data_dir: the user's folder of datasets, if any.
    """

    run: Path
    cache: Path
    data_dir: Path | None = None

    def absolute(self) -> Workspace:
        """The same folders as absolute paths, independent of the working directory."""
        data_dir = None if self.data_dir is None else self.data_dir.absolute()
        return Workspace(self.run.absolute(), self.cache.absolute(), data_dir)

    def to_json(self) -> dict[str, str | None]:
        """As plain data for a worker."""
        data_dir = None if self.data_dir is None else str(self.data_dir)
        return {"run": str(self.run), "cache": str(self.cache), "data_dir": data_dir}

    @classmethod
    def from_json(cls, value: Mapping[str, str | None]) -> Workspace:
        """The inverse of :meth:`to_json`."""
        data_dir = value["data_dir"]
        return cls(
            Path(str(value["run"])), Path(str(value["cache"])), Path(data_dir) if data_dir else None
        )


@dataclass(frozen=True)
class JobContext:
    """What a job function receives besides its payload.

    Args:
        shared: a temporary folder that all workers of a runner share; removed with the runner.
    """

    workspace: Workspace
    channel: Channel
    shared: Path | None = None

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message to the runner (see :mod:`seqbench.workers.messages`)."""
        self.channel.send(message)

    def receive(self) -> dict[str, Any]:
        """Wait for the next request of the runner. Raises EOFError if it is gone."""
        return self.channel.receive()
