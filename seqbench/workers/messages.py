"""The messages between runner and worker: plain data, one JSON object per message.

A worker starts with an :class:`Assignment`. It may then report progress (``say``, ``bytes``,
``step``, …), report the step of a checkpoint that it continues from (``continued``), warn the user
(``warn``), answer requests of the runner (``reply``), report results of
checks (``found``), and finally reports how its job ended (``done``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from seqbench.plugins.choice import to_json
from seqbench.records import STATUSES
from seqbench.workers.context import Workspace

#: The keys of a worker's messages, and the keys that only occur together.
PARTS: Mapping[str, type] = {
    "say": str, "warn": str, "about": str, "bytes": int, "total_bytes": int, "epoch": int,
    "epochs": int, "step": int, "steps": int, "train_loss": float, "validation": float,
    "validation_loss": float, "by": str, "seconds": float, "reply": dict, "found": dict,
    "continued": int, "done": dict,
}  # fmt: skip
TOGETHER = ({"bytes", "total_bytes"}, {"epoch", "epochs", "train_loss"}, {"step", "steps"})
DONE = {"status", "reason", "result"}


@dataclass(frozen=True)
class Assignment:
    """The task of a worker process.

    Args:
        function: ``"package.module:function"``; called with its payload and a
            :class:`seqbench.workers.context.JobContext`, it returns JSON data.
        payload: the payload as plain data, of the type of the function's parameter ``payload``.
        workspace: where the job's files are.
        folder: the worker's own, empty folder.
        threads: CPU threads that torch may use.
        memory: memory limit in bytes, or None.
        variables: its environment variables.
        cores: the CPU cores that it may use; empty if the system has no CPU affinity.
        keep_directory: whether it stays in the runner's working directory, because a parameter of a
            dataset may name a file relative to it; otherwise it runs in ``folder``.
    """

    function: str
    payload: Mapping[str, Any]
    workspace: Workspace
    folder: str
    threads: int = 1
    memory: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    keep_directory: bool = False

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps({**vars(self), "workspace": self.workspace.to_json()})

    @classmethod
    def from_json(cls, text: str) -> Assignment:
        """The inverse of :meth:`to_json`."""
        values = json.loads(text)
        return cls(**{**values, "workspace": Workspace.from_json(values["workspace"])})


def payload_to_json(payload: Any) -> dict[str, Any]:
    """A payload, which is a frozen dataclass, as plain data."""
    return to_json(payload)


def payload_from_json(function: Callable[..., Any], value: Mapping[str, Any]) -> Any:
    """The payload that a job function takes, from plain data.

    Raises:
        pydantic.ValidationError: the data does not have the type of the function's ``payload``.
    """
    from pydantic import TypeAdapter

    return TypeAdapter(get_type_hints(function)["payload"]).validate_python(value)


def is_valid_message(message: Mapping[str, Any]) -> bool:
    """Whether this is a message that a worker sends."""
    if not all(isinstance(value, PARTS.get(key, ())) for key, value in message.items()):
        return False
    if not all(part & message.keys() in (set(), part) for part in TOGETHER):
        return False
    if "done" not in message:
        return True
    done = message["done"]
    return (
        done.keys() == DONE
        and done["status"] in STATUSES
        and isinstance(done["reason"], str)
        and isinstance(done["result"] or {}, dict)
    )
