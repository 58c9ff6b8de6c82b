"""Prepared datasets: loaded once by the plugin, validated, stored, then memory-mapped.

A prepared dataset is one safetensors file in the cache. Opening it maps it into memory, so all
workers share one copy, and a later run needs neither the plugin nor its dependencies.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import DataError, NotPrepared, PluginError, UsageError
from seqbench.plan.cases import Prepared
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.plugins.provenance import check_unchanged
from seqbench.records import fingerprint
from seqbench.store.files import replace_file
from seqbench.store.places import expanded
from seqbench.types import DataContext, Task

if TYPE_CHECKING:
    from seqbench.training.prepared import PreparedSplits

#: Version of the format of prepared files. It is part of the file name, so files of another version
#: are ignored.
DATA_FORMAT = 1

#: The folders of the cache.
PREPARED, DOWNLOADS = "prepared", "downloads"

#: The entry of a prepared file's metadata with the name and parameters of the dataset.
DATASET_KEY = "dataset"

#: The limit of safetensors itself, in bytes.
MAX_HEADER = 100_000_000

#: What reading the header of a damaged or missing file raises.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, struct.error)


def cache_dir() -> Path:
    """The cache folder: ``SEQBENCH_CACHE``, or the user's cache. Its contents can be recreated.

    Raises:
        UsageError: there is no such folder, because the home folder is unknown.
    """
    given = os.environ.get("SEQBENCH_CACHE")
    if given:
        return expanded(given, "SEQBENCH_CACHE").absolute()
    import platformdirs

    base = os.environ.get("XDG_CACHE_HOME", "")
    if base.startswith("~"):  # otherwise a folder with this name would be created
        return expanded(base, "XDG_CACHE_HOME") / "seqbench"
    try:
        path = platformdirs.user_cache_path("seqbench", appauthor=False)
    except RuntimeError:  # of later versions; earlier ones return "~/.cache"
        path = Path("~")
    if not path.is_absolute():
        raise UsageError(
            "there is no folder for the cache, since HOME is not set to one: set SEQBENCH_CACHE"
        )
    return path


def prepared_file(choice: Choice) -> str:
    """The prepared file of ``choice``, relative to the cache. Imports no torch."""
    identity = {
        "name": choice.name,
        "params": dict(choice.params),
        "distribution": choice.distribution,
        "version": choice.version,
        "source": choice.source,
        "format": DATA_FORMAT,
    }
    name = re.sub(r"[^\w.-]", "_", choice.name)
    return f"{PREPARED}/{name}-{fingerprint(identity)}.safetensors"


def prepared_path(choice: Choice, cache: Path) -> Path:
    """The path of the prepared file of ``choice``, which may not exist. Imports no torch."""
    return cache / prepared_file(choice)


def is_prepared(choice: Choice, cache: Path) -> bool:
    """Whether the prepared file exists and is complete. Imports no torch."""
    try:
        return _is_whole(prepared_path(choice, cache))
    except UNREADABLE:
        return False


def read_prepared(choice: Choice, cache: Path) -> Prepared | None:
    """What is known of a dataset once it is prepared; None if it is not. Imports no torch."""
    try:
        header = _header(prepared_path(choice, cache))[1]
        task = _task_of(header["__metadata__"])
        return Prepared(task.kind, _differ_in_length(header, task))
    except UNREADABLE:
        return None


def _differ_in_length(header: Mapping[str, Any], task: Task) -> bool:
    """Whether not all stored sequences of a prepared file are as long as its task says."""
    splits = [name.removesuffix("_x") for name in header if name.endswith("_x")]
    return any(
        f"{split}_offsets" in header or header[f"{split}_x"]["shape"][1] != task.length
        for split in splits
    )


def answers_size(choice: Choice, cache: Path) -> int:
    """Bytes of a model's answers to the test split of a prepared dataset, as float32 and with the
    targets; 0 if it is not prepared. Imports no torch.
    """
    try:
        header = _header(prepared_path(choice, cache))[1]
        task, targets = _task_of(header["__metadata__"]), header["test_y"]
        parts = [header[name] for name in ("test_y", "test_weights") if name in header]
        kept = sum(end - start for start, end in (part["data_offsets"] for part in parts))
        answers = math.prod(targets["shape"])
    except UNREADABLE:
        return 0
    if task.target_type == "label":  # a number for each class
        answers *= task.output_size
    return int(4 * answers + kept)


def prepare_dataset(
    choice: Choice,
    *,
    cache: Path,
    data_dir: Path | None,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Return the prepared file of ``choice``; load and store the dataset if it does not exist.

    Args:
        choice: the dataset with all its parameters.
        cache: the cache folder (see :func:`cache_dir`); created if needed.
        data_dir: the user's data folder, if any.
        say: shows one line to the user.
        progress: called with the number of bytes downloaded and their total.

    Raises:
        PluginError: the plugin's function cannot be found or imported.
        DataError: the loaded data do not match their task, or cannot be stored.
        Exception: any error of the plugin's own code.
    """
    path = prepared_path(choice, cache)
    if is_prepared(choice, cache):
        return path
    _require_readable(path)
    downloads = cache / DOWNLOADS
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(cache, error) from error
    splits = load_dataset(choice, DataContext(data_dir, downloads, say, progress))
    _store(splits, choice, path)
    return path


def load_dataset(choice: Choice, context: DataContext) -> PreparedSplits:
    """Call the plugin's ``load`` and validate the result against its task.

    Raises:
        PluginError, DataError, Exception: as :func:`prepare_dataset`.
    """
    from seqbench.training.data_checks import checked_splits
    from seqbench.training.split_checks import Flaw

    function = _load(choice)
    check_call(choice, function, context, **choice.params)
    loaded = function(context, **choice.params)
    try:
        return checked_splits(loaded, choice)
    except Flaw as flaw:
        raise DataError(
            f"dataset {choice.name!r} of {choice.distribution} {choice.version}: {flaw}"
        ) from None


def open_splits(path: Path, train: Mapping[str, Any] | None = None) -> PreparedSplits:
    """Map the splits of a prepared file into memory; pages are read on first use and shared.

    Args:
        train: the training settings, of which ``batches`` and ``carry_state`` also determine how a
            model is evaluated.

    Raises:
        PluginError: the package that generates its fresh sequences has changed.
        NotPrepared: the file does not exist, or is damaged; a damaged file is renamed to
            ``….corrupt``.
    """
    from safetensors import SafetensorError, safe_open

    from seqbench.training.prepared import PreparedSplits

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
            one_length = (train or {}).get("batches") == "one_length"
            how = {"one_length": one_length, "carried": "carry_state" in (train or {})}
            splits = PreparedSplits.of(tensors, file.metadata() or {}, **how)
            _check_fresh(splits, path)
            return splits
    except FileNotFoundError:
        raise NotPrepared(f"{path}: no such file; run again to prepare the dataset") from None
    except (SafetensorError, OSError, ValueError, TypeError, LookupError) as error:
        moved = _set_aside(path)
        reason = " ".join(str(error).split())
        raise NotPrepared(
            f"{path}: the prepared dataset is damaged ({reason}) and was {moved}; "
            "run again to recreate it"
        ) from error


def _check_fresh(splits: PreparedSplits, path: Path) -> None:
    """Check that a file names no code but that of its own dataset, whose identity is in its name.

    Raises:
        ValueError: it does not. PluginError: that code has changed.
    """
    dataset = getattr(splits.train, "dataset", None)
    if dataset is None:
        return
    if prepared_path(dataset, path.parent).name != path.name:
        raise ValueError("its fresh sequences are of another dataset")
    check_unchanged(dataset)


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    length, header = _header(path)
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return bool(path.stat().st_size == 8 + length + max(ends))


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """The length and content of the header of a safetensors file. Raises ValueError, OSError, …"""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise ValueError(f"a header of {length} bytes")
        return length, json.loads(file.read(length))


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a prepared file. Imports no torch. Raises one of ``UNREADABLE``."""
    metadata: dict[str, str] = _header(path)[1]["__metadata__"]
    return metadata


def _set_aside(path: Path) -> str:
    """Rename a damaged file; returns the outcome in words."""
    aside = path.with_name(f"{path.name}.corrupt")
    try:
        path.replace(aside)
    except OSError as error:
        return f"left in place, as it cannot be renamed ({error.strerror})"
    return f"renamed to {aside.name}"


def _load(choice: Choice) -> Callable[..., Any]:
    try:
        return load_object(choice)
    except ImportError as error:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: "
            f"cannot import {choice.import_path!r}: {error}"
        ) from error


def _store(splits: PreparedSplits, choice: Choice, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # Through NumPy, since safetensors refuses torch tensors that share memory, as views may.
    arrays = {name: tensor.numpy() for name, tensor in splits.tensors().items()}
    dataset = {"name": choice.name, "params": dict(choice.params)}
    metadata = {**splits.metadata(), DATASET_KEY: dataset}
    try:
        with replace_file(path) as partial:
            texts = {key: json.dumps(value) for key, value in metadata.items()}
            save_file(arrays, partial, metadata=texts)
    except (OSError, SafetensorError) as error:
        raise _not_writable(path.parent, error) from error


def _require_readable(path: Path) -> None:
    """Raise DataError if a prepared file exists, and only other users may read it."""
    try:
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise DataError(
            f"cannot read the prepared dataset {path}: {error.strerror}; ask its owner for access, "
            "or set SEQBENCH_CACHE to another folder"
        ) from error
    except OSError:
        pass


def _not_writable(folder: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    number = error.errno if isinstance(error, OSError) else None
    full = number in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in reason
    free = "free disk space there, or " if full else ""
    return DataError(
        f"cannot store prepared data in {folder}: {reason}; {free}set SEQBENCH_CACHE to a writable "
        "folder"
    )


def _task_of(metadata: Mapping[str, str]) -> Task:
    return Task.from_dict(json.loads(metadata["task"]))
