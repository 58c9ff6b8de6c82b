"""What a worker may say to its runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What is in the messages of a worker, and what must come together in one of them.
PARTS: Mapping[str, type | tuple[type, ...]] = {
    "say": str, "bytes": int, "total_bytes": int, "epoch": int, "epochs": int, "step": int,
    "steps": int, "train_loss": float, "validation": float, "seconds": float, "loaded": dict,
    "ready": list, "ns": list, "samples": int, "done": dict,
    **dict.fromkeys(("check", "asks", "result", "expected", "came", "example", "note"), str),
}  # fmt: skip

TOGETHER = ({"bytes", "total_bytes"}, {"epoch", "epochs", "train_loss"}, {"step", "steps"})

DONE = {"status", "reason", "result"}


def is_valid_message(message: Mapping[str, Any]) -> bool:
    """Whether a message is one that a worker sends."""
    if not all(isinstance(value, PARTS.get(key, ())) for key, value in message.items()):
        return False
    if not all(part & message.keys() in (set(), part) for part in TOGETHER):
        return False
    done = message.get("done", dict.fromkeys(DONE, ""))
    return done.keys() == DONE and isinstance(done["result"] or {}, dict)
