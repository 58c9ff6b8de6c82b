"""The jobs that prepare a dataset and train a model, as a worker runs them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.workers.channel import Channel
from seqbench.workers.main import Job

#: Errors in writing that are no fault of the job: disk full, quota, read-only, folder gone.
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT}

#: From <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Memory that is freed stays with the process, for the next step of the training.

    Else glibc gives large blocks back to the system and asks for them again at every step, and the
    system fills each page with zeros anew. Results stay the same bit for bit. glibc only; other
    libraries have no such setting, or the same name without an effect.
    """
    with contextlib.suppress(AttributeError, OSError):
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)  # never


def prepare_job(job: Job, channel: Channel) -> dict[str, Any]:
    from seqbench.plugins import provenance
    from seqbench.plugins.choice import Choice
    from seqbench.training.data import prepare_dataset

    choice = Choice(**job["dataset"])
    provenance.check_unchanged(choice)
    path = prepare_dataset(
        choice,
        cache=Path(job["cache"]),
        data_dir=Path(job["data_dir"]) if job["data_dir"] else None,
        say=lambda text: channel.send({"say": str(text)}),
        progress=lambda done, total: channel.send(
            {"bytes": int(done), "total_bytes": int(total or 0)}
        ),
    )
    return {"path": str(path)}


def train_job(job: Job, channel: Channel) -> dict[str, Any]:
    import torch

    from seqbench.plugins import provenance
    from seqbench.plugins.choice import Choice
    from seqbench.store.files import stamp
    from seqbench.training.confusion import by_class
    from seqbench.training.data import open_splits
    from seqbench.training.loop import train_model
    from seqbench.training.model import build_model

    keep_freed_memory()
    splits = open_splits(Path(job["data"]))
    device = torch.device(job["device"])
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(job["seed"])
    choice = Choice(**job["model"])
    source = provenance.source_of(choice.target, choice.distribution)
    version = provenance.version_of(choice.distribution)
    model = build_model(choice, splits.task).to(device)
    trained = train_model(
        model, splits, job["train"], device=device, seed=job["seed"], tell=channel.send
    )
    weights = Path(job["weights"])
    digest = _save(model, weights)
    classes = by_class(model, *splits.test, task=splits.task, device=device)
    metrics = {**trained.metrics, **classes}
    return {
        "metric": splits.task.metric,
        "metrics": metrics,
        "curve": trained.curve,
        "weights_sha256": digest,
        "weights_stamp": stamp(weights),
        "source": source,
        "version": version,
    }


def _save(model: Any, path: Path) -> str:
    """Writes the weights, whole or not at all; returns their SHA-256.

    Raises:
        StoreError: that is not possible.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_model

    unfinished = path.with_suffix(".partial")
    try:
        path.parent.mkdir(exist_ok=True)
        unfinished.unlink(missing_ok=True)  # it may be a link to somewhere else
        save_model(model, str(unfinished))
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        if _errno(error) in NO_PLACE:
            raise StoreError(f"cannot write {path}: {error}") from error
        raise
    return digest


def _errno(error: Exception) -> int | None:
    """The system's number of an error; that of safetensors stands in its text."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else None
