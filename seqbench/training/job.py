"""The worker jobs that prepare a dataset and train a model."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.devices.base import Device
from seqbench.devices.registry import device_for, use_full_precision
from seqbench.errors import LooksAhead, StoreError
from seqbench.plan.cases import PROTOCOL, Metric
from seqbench.plugins.choice import Choice, to_json
from seqbench.plugins.provenance import check_unchanged, source_of, version_of
from seqbench.records import fingerprint
from seqbench.store.files import replace_file, sha256_of, stamp
from seqbench.training.data import open_splits, prepare_dataset
from seqbench.types import Task
from seqbench.workers.context import JobContext

if TYPE_CHECKING:
    import torch
    from torch import nn

    from seqbench.training.checkpoints import Checkpoints
    from seqbench.training.evaluation import Meter
    from seqbench.training.loop import Trained
    from seqbench.training.padding import Padding
    from seqbench.training.prepared import PreparedSplits
    from seqbench.training.split import Split

#: Write errors not caused by the model: disk full, quota, read-only, no permission, folder removed.
STORAGE_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EACCES, errno.EPERM
}  # fmt: skip

#: From <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def start_training_process(kind: Device) -> None:
    """Set up this process for training, which timing a training step needs as well.

    Args:
        kind: the kind of device to train on.
    """
    keep_freed_memory()
    kind.make_deterministic()


def keep_freed_memory() -> None:
    """Keep freed memory in the process, for the next training step.

    By default glibc returns large blocks to the system and requests them again at every step, and
    the system zeroes each page again. Results are the same bit for bit. Only glibc has these
    settings; with other C libraries this has no effect.
    """
    with contextlib.suppress(AttributeError, OSError):
        import ctypes

        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)  # never


@dataclass(frozen=True)
class PreparePayload:
    """A dataset to prepare."""

    dataset: Choice


@dataclass(frozen=True)
class TrainPayload:
    """A trial to train.

    Args:
        data: the prepared dataset, relative to the cache.
        train: the training settings (see :meth:`seqbench.suite.keys.Training.resolved`).
        weights: the file for the trained weights, relative to the run's folder.
        answers: the file for the answers to the test split, relative to the run's folder; "" for
            none.
        seed: of the trial, for what has no seed of its own in the settings.
        checkpoint: the file for its checkpoint, relative to the run's folder; "" for none.
        checkpoint_every: seconds between two checkpoints.
        primary_metric: decides on the best epoch; None for the task's own.
    """

    model: Choice
    data: str
    train: Mapping[str, Any]
    device: str
    seed: int
    weights: str
    answers: str = ""
    checkpoint: str = ""
    checkpoint_every: float = 0.0
    primary_metric: Metric | None = None

    @property
    def init_seed(self) -> int:
        """Of the initial weights, and of whatever else is random, such as dropout."""
        found: int = self.train.get("init_seed", self.seed)
        return found

    @property
    def data_seed(self) -> int:
        """Of the order of the data, or of new sequences."""
        found: int = self.train.get("data_seed", self.seed)
        return found


def prepare(payload: PreparePayload, context: JobContext) -> dict[str, Any]:
    """Prepare a dataset in the cache, with progress messages. See :func:`.prepare_dataset`."""
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
    """Train a model and write its weights and, if they are kept, its answers to the test split.

    Returns:
        fields of :class:`.TrialRecord`; and ``answers_sha256``, empty if no answers are kept.

    Raises:
        PluginError: the weights file cannot hold the model's state dict, or a package changed.
        LooksAhead: the task is causal, but the model looks ahead.
        Diverged: the training diverged.
        StoreError: a file cannot be written, for a reason unrelated to the model.
    """
    from seqbench.training.answers import record_answers
    from seqbench.training.loop import train_model
    from seqbench.training.padding import padded_sequences
    from seqbench.training.primary import primary_of

    kind = device_for(payload.device)
    start_training_process(kind)
    splits = open_splits(context.workspace.cache / payload.data, payload.train)
    primary = primary_of(splits, payload.primary_metric)
    device = kind.torch_device(payload.device)
    size, seed = payload.train["batch_size"], payload.data_seed
    padded = padded_sequences(splits, batch_size=size, seed=seed)
    at_first = _test_untrained(payload, splits, device, padded, context)
    origin = _installed(payload.model)
    model, initial = _model_to_train(payload, splits.task, device, context)
    kept = context.workspace.run / payload.answers if payload.answers else None
    with keeping(kept, splits) as meters:
        trained = train_model(
            model, splits, payload.train, device=device, seed=seed, primary=primary,
            notify=context.send, meters=meters, checkpoints=_checkpoints(payload, context),
        )  # fmt: skip
    files = [weights := context.workspace.run / payload.weights, *([kept] if kept else [])]
    digest = _save(model, weights)  # first: an answer may change a buffer
    return {
        **primary.fields,
        "metrics": trained.metrics,
        "curve": trained.curve,
        "initial": initial,
        "weights_sha256": digest,
        "weights_stamp": stamp(weights),
        "answers": record_answers(model, splits, device),
        "ahead_unknown": _check_trained(model, splits, device, payload=payload, files=files),
        **_padding_fields(at_first | _padding_of(model, padded, device, context), padded, trained),
        "answers_sha256": "" if kept is None else sha256_of(kept),
        "data": splits.sizes,
        **origin,
    }


def _test_untrained(
    payload: TrainPayload,
    splits: PreparedSplits,
    device: torch.device,
    padded: Split | None,
    context: JobContext,
) -> Padding:
    """Find out what would make figures wrong before any time is spent on the training: whether the
    model looks ahead, whether its answers change with padding, and whether it can carry its state
    over, if it has to.

    Tested is a model of its own, before the generators are seeded for the training, which is
    therefore the same bit for bit as without this test.

    Raises:
        LooksAhead: it does, although the task is causal.
        PluginError, UsageError, DataError: it cannot carry its state over.
    """
    from seqbench.training.carried import check_carried
    from seqbench.training.causality import check_causal
    from seqbench.training.padding import Padding

    carries = "carry_state" in payload.train
    if not splits.task.causal and padded is None and not carries:
        return Padding()
    model = _fresh_model(payload, splits.task).to(device)
    if carries:
        check_carried(model, splits, device, payload.model)
    if splits.task.causal:
        check_causal(model, splits, device, payload.model, when="with its initial weights")
    return _padding_of(model, padded, device, context)


def _padding_of(
    model: nn.Module, padded: Split | None, device: torch.device, context: JobContext
) -> Padding:
    """Whether the model's answers change with padding; the user is warned if they do."""
    from seqbench.training.padding import Padding, padding_of

    found = Padding() if padded is None else padding_of(model, padded, device)
    if found.warning:
        context.send({"warn": found.warning})
    return found


def _padding_fields(padding: Padding, padded: Split | None, trained: Trained) -> dict[str, Any]:
    """What a trial records of padding."""
    unknown = padding.unknown
    if padded is None and trained.metrics.get("padding"):  # of later fresh sequences
        unknown = "the first batches that are drawn need no padding, but later ones do"
    return {"padding_changes": padding.changes, "padding_unknown": unknown}


def _check_trained(
    model: nn.Module,
    splits: PreparedSplits,
    device: torch.device,
    *,
    payload: TrainPayload,
    files: Sequence[Path],
) -> str:
    """If the task is causal, test the trained model as well: initial weights may hide that it looks
    ahead, for example behind a gate that is zero at first.

    Returns:
        why this cannot be tested; ``""`` if it was, or if the task is not causal.

    Raises:
        LooksAhead: it does; ``files``, its weights and its answers, are deleted.
    """
    from seqbench.training.causality import check_causal

    if not splits.task.causal:
        return ""
    try:
        return check_causal(model, splits, device, payload.model, when="once trained")
    except LooksAhead:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _fresh_model(payload: TrainPayload, task: Task) -> nn.Module:
    """The model with the initial weights of its seed, on torch's default device.

    Raises:
        PluginError: it breaks its contract, or weights files cannot hold its state dict.
    """
    from seqbench.training.model import build_model
    from seqbench.training.weights import check_savable

    _seed_all(payload.init_seed)
    model = build_model(payload.model, task)
    use_full_precision()
    check_savable(model, payload.model)
    return model


def _installed(model: Choice) -> dict[str, str]:
    """The fingerprint of a model's source and the version of its package, as they are now."""
    return {
        "source": source_of(model.import_path, model.distribution),
        "version": version_of(model.distribution),
    }


def _model_to_train(
    payload: TrainPayload, task: Task, device: torch.device, context: JobContext
) -> tuple[nn.Module, str]:
    """The model on its device, and the hash of its initial weights. The user is warned if parts of
    a LightningModule are not used.
    """
    from seqbench.training.own_step import lightning_warning
    from seqbench.training.weights import initial_digest

    model = _fresh_model(payload, task).to(device)
    if warning := lightning_warning(model):
        context.send({"warn": warning, "about": "lightning"})
    return model, initial_digest(model)


@contextlib.contextmanager
def keeping(path: Path | None, splits: PreparedSplits) -> Iterator[list[Meter]]:
    """The meter that writes the answers to ``path``, if any. Raises StoreError."""
    from seqbench.training.kept_answers import KeptAnswers

    if path is None:
        yield []
        return
    with KeptAnswers(path, splits.test) as kept:
        yield [kept]


def _checkpoints(payload: TrainPayload, context: JobContext) -> Checkpoints | None:
    """The checkpoints of a trial, if it has any. The runner deletes them with its record."""
    import torch

    from seqbench.training.checkpoints import Checkpoints

    if not payload.checkpoint:
        return None
    trial = dataclasses.replace(payload, checkpoint_every=0.0, answers="")
    # A CPU with other instructions rounds differently.
    system = [torch.__version__, torch.backends.cpu.get_cpu_capability()]
    identity = fingerprint([PROTOCOL, *system, to_json(trial)])
    path = context.workspace.run / payload.checkpoint
    return Checkpoints(path, payload.checkpoint_every, identity)


def _seed_all(seed: int) -> None:
    """Seed every generator that a model may draw its weights from."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _save(model: Any, path: Path) -> str:
    """Write the weights atomically; returns their SHA-256.

    Raises:
        StoreError: the weights cannot be written.
    """
    from safetensors import SafetensorError

    from seqbench.training.weights import save_weights

    try:
        with replace_file(path) as partial:
            save_weights(model, partial)
            digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    except (OSError, SafetensorError) as error:
        if _errno(error) in STORAGE_ERRORS:
            raise StoreError(f"cannot write {path}: {error}") from error
        raise
    return digest


def _errno(error: Exception) -> int | None:
    """The errno of an error; safetensors gives it only in its message."""
    if isinstance(error, OSError):
        return error.errno
    match = re.search(r"os error (\d+)", str(error))
    return int(match[1]) if match else None
