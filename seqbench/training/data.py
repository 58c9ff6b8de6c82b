"""From a chosen dataset to tensors: loaded once by its plugin, checked, stored, mapped afterwards.

A prepared dataset is one safetensors file in seqbench's cache. Opening it maps it into memory, so
that all workers share one copy and a later run needs neither the plugin nor what it imports.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqbench.errors import DataError, PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.records import fingerprint
from seqbench.store.files import replace_file
from seqbench.training.data_checks import SPLITS, Flaw, checked_tensors
from seqbench.types import DataContext, Splits, Task

if TYPE_CHECKING:
    from torch import Tensor

#: Version of what a prepared file holds. Part of its name: a file of another version is not read.
DATA_FORMAT = 1

#: safetensors allows no longer header either.
LONGEST_HEADER = 100_000_000


def cache_dir() -> Path:
    """The folder for what can be fetched or computed again: ``SEQBENCH_CACHE``, or the user's."""
    named = os.environ.get("SEQBENCH_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("seqbench", appauthor=False)


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
    return f"prepared/{name}-{fingerprint(identity)}.safetensors"


def prepared_path(choice: Choice, cache: Path) -> Path:
    """The prepared file of ``choice``, whether it is there or not. Imports no torch."""
    return cache / prepared_file(choice)


def is_prepared(choice: Choice, cache: Path) -> bool:
    """Whether the prepared file is there in its full length. Imports no torch."""
    try:
        return _is_whole(prepared_path(choice, cache))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, struct.error):
        return False


def prepare_dataset(
    choice: Choice,
    *,
    cache: Path,
    data_dir: Path | None,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """The prepared file of ``choice``, which the plugin's ``load`` provides if it is not there yet.

    Args:
        choice: the dataset with all its parameters.
        cache: seqbench's cache (see :func:`cache_dir`); its folders are made as needed.
        data_dir: the folder the user named for data, if any.
        say: shows one line to the user.
        progress: shows how many bytes of how many have arrived.

    Raises:
        PluginError: the plugin's function cannot be found or imported.
        DataError: what it returned does not fit its own task, or cannot be stored.
        Exception: whatever the plugin's own code raises.
    """
    path = prepared_path(choice, cache)
    if is_prepared(choice, cache):
        return path
    downloads = cache / "downloads"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(cache, error) from error
    task, tensors = load_dataset(choice, DataContext(data_dir, downloads, say, progress))
    _store(tensors, task, path)
    return path


def load_dataset(choice: Choice, context: DataContext) -> tuple[Task, dict[str, Tensor]]:
    """What the plugin's ``load`` returns, held against its own task: the tensors of each split as
    ``train_x``, ``train_y``, ``test_x``, …

    Raises:
        PluginError, DataError, Exception: as :func:`prepare`.
    """
    function = _load(choice)
    check_call(choice, function, context, **choice.params)
    loaded = function(context, **choice.params)
    try:
        tensors = checked_tensors(loaded)
    except Flaw as flaw:
        raise DataError(
            f"dataset {choice.name!r} of {choice.distribution} {choice.version}: {flaw}"
        ) from None
    return loaded.task, tensors


def open_splits(path: Path) -> Splits:
    """The splits in a prepared file, mapped: a page is read when it is used, and shared.

    Raises:
        DataError: there is no such file, or it is damaged; then it is set aside as ``….corrupt``.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            task = _task_of(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        pairs = {
            split: (tensors[f"{split}_x"], tensors[f"{split}_y"])
            for split in SPLITS
            if f"{split}_x" in tensors
        }
        return Splits(task, **pairs)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; run again to prepare it") from None
    except (SafetensorError, OSError, ValueError, TypeError, LookupError) as error:
        aside = _set_aside(path)
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: this prepared dataset is damaged ({reason}) and was {aside}; "
            "run again to prepare it anew"
        ) from error


def _is_whole(path: Path) -> bool:
    """Holds the length of a safetensors file against its header, which says where data end."""
    with path.open("rb") as file:
        (header_length,) = struct.unpack("<Q", file.read(8))
        if header_length > LONGEST_HEADER:
            return False
        header = json.loads(file.read(header_length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return bool(path.stat().st_size == 8 + header_length + max(ends))


def _set_aside(path: Path) -> str:
    aside = path.with_name(f"{path.name}.corrupt")
    try:
        path.replace(aside)
    except OSError as error:
        return f"left where it is, since it cannot be renamed ({error.strerror})"
    return f"set aside as {aside.name}"


def _load(choice: Choice) -> Callable[..., Any]:
    try:
        return load_object(choice)
    except ImportError as error:
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: "
            f"cannot import {choice.import_path!r}: {error}"
        ) from error


def _store(tensors: Mapping[str, Tensor], task: Task, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # Through NumPy, since safetensors refuses torch tensors that share memory, as views may.
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        with replace_file(path) as partial:
            save_file(arrays, partial, metadata={"task": json.dumps(dataclasses.asdict(task))})
    except (OSError, SafetensorError) as error:
        raise _not_writable(path.parent, error) from error


def _not_writable(folder: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())
    return DataError(
        f"cannot store prepared data in {folder}: {reason}; free some space there, or set "
        "SEQBENCH_CACHE to a folder that can be written"
    )


def _task_of(metadata: Mapping[str, str]) -> Task:
    values = json.loads(metadata["task"])
    return Task(**{**values, "class_names": tuple(values["class_names"])})
