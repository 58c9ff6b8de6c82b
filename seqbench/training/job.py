"""The jobs that prepare a dataset and train a model, as a worker runs them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench.devices.registry import device_for
from seqbench.errors import StoreError
from seqbench.plugins.choice import Choice
from seqbench.plugins.provenance import check_unchanged, source_of, version_of
from seqbench.store.files import stamp
from seqbench.training.data import open_splits, prepare_dataset
from seqbench.workers.context import JobContext

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


@dataclass(frozen=True)
class PreparePayload:
    """A dataset to be prepared."""

    dataset: Choice


@dataclass(frozen=True)
class TrainPayload:
    """A trial to be trained.

    Args:
        data: the prepared dataset, in the cache.
        train: the training settings (see :meth:`seqbench.suite.keys.Training.resolved`).
        weights: where the trained weights go, in the run's folder.
    """

    model: Choice
    data: str
    train: Mapping[str, Any]
    device: str
    seed: int
    weights: str


def prepare(payload: PreparePayload, context: JobContext) -> dict[str, Any]:
    """Prepares a dataset in the cache, with progress. See :func:`.prepare_dataset`."""
    check_unchanged(payload.dataset)
    prepare_dataset(
        payload.dataset,
        cache=context.workspace.cache,
        data_dir=context.workspace.data_dir,
        say=lambda text: context.send({"say": str(text)}),
        progress=lambda done, total: context.send(
            {"bytes": int(done), "total_bytes": int(total or 0)}
        ),
    )
    return {}


def train(payload: TrainPayload, context: JobContext) -> dict[str, Any]:
    """Trains a model and writes its weights.

    Returns:
        the fields of :class:`seqbench.records.TrialRecord` that training decides on: ``metric``,
        ``metrics``, ``curve``, ``weights_sha256``, ``weights_stamp``, ``source``, ``version``.

    Raises:
        Diverged: the training did.
        StoreError: the weights cannot be written, which is no fault of the model.
    """
    import torch

    from seqbench.training.loop import train_model
    from seqbench.training.model import build_model

    keep_freed_memory()
    splits = open_splits(context.workspace.cache / payload.data)
    kind = device_for(payload.device)
    device = kind.torch_device(payload.device)
    kind.make_deterministic()
    torch.manual_seed(payload.seed)
    source = source_of(payload.model.import_path, payload.model.distribution)
    version = version_of(payload.model.distribution)
    model = build_model(payload.model, splits.task).to(device)
    trained = train_model(
        model, splits, payload.train, device=device, seed=payload.seed, tell=context.send
    )
    weights = context.workspace.run / payload.weights
    digest = _save(model, weights)
    return {
        "metric": splits.task.metric,
        "metrics": trained.metrics,
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

    from seqbench.store.files import replace_file

    try:
        with replace_file(path) as partial:
            save_model(model, str(partial))
            digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    except (OSError, SafetensorError) as error:
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
