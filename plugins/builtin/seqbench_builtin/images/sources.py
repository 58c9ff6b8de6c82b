"""Finds or downloads the files of a collection, in several ways until one works."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqbench import DataContext
from seqbench.errors import DataError
from seqbench_builtin.images import debian, idx
from seqbench_builtin.images.catalog import Collection

Contents = dict[str, bytes]
Say = Callable[[str], None]

#: Timeout for a server that does not respond (torchvision itself has none).
TIMEOUT_SECONDS = 15.0
PROGRESS_SECONDS = 0.2
UNFINISHED = "unfinished-"
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Way:
    """A way to get the files. ``named``: given by the user, so invalid files there are an error."""

    name: str
    read: Callable[[], Contents]
    named: bool = False


def obtain(collection: Collection, dataset_class: Any, context: DataContext) -> Contents:
    """The verified content of the four files, from the first way that works.

    Args:
        dataset_class: its class in ``torchvision.datasets``, which can download it.
        context: the folders to search and to download to.

    Raises:
        DataError: the user's data folder contains invalid files, or no way works.
    """
    failures = []
    for way in _ways(collection, dataset_class, context):
        try:
            return way.read()
        except Exception as error:  # downloads raise all kinds of errors
            reason = _one_line(error)
            if way.named and not isinstance(error, idx.Missing):
                raise DataError(
                    f"{way.name}: {reason}; replace the file, or use another folder"
                ) from error
            if way.named:
                context.say(f"{reason}; trying other locations")
            failures.append(f"{way.name}: {reason}")
    tried = "; ".join(f"({number}) {line}" for number, line in enumerate(failures, start=1))
    package = collection.debian_package
    install = f", or install the system's package {package}" if package else ""
    raise DataError(
        f"{collection.title} is unavailable. Tried: {tried}. Put its four files "
        f"({', '.join(idx.FILES)}; or .gz) into a folder and pass that with --data-dir or "
        f"SEQBENCH_DATA{install}"
    )


@contextmanager
def unfinished_folder(context: DataContext) -> Iterator[Path]:
    """A temporary folder inside the cache; removes old ones, left by killed runs."""
    for left in context.cache_dir.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # another process may be removing it
            if time.time() - left.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=context.cache_dir) as folder:
        yield Path(folder)


def _ways(collection: Collection, dataset_class: Any, context: DataContext) -> Iterator[Way]:
    def folder_way(name: str, folder: Path, named: bool = False) -> Way:
        return Way(
            name,
            lambda: idx.read(idx.locate(folder, collection), collection),
            named,
        )

    if context.data_dir is not None:
        yield folder_way("data folder", context.data_dir, named=True)
    yield folder_way("seqbench's cache", context.cache_dir)
    if collection.debian_folder is not None:
        yield folder_way("system folder", collection.debian_folder)
    yield Way(
        "download with torchvision",
        lambda: _fetched(collection, context, _downloader(dataset_class)),
    )
    if collection.debian_package:
        yield Way(
            f"the system's package {collection.debian_package}",
            lambda: _fetched(collection, context, _package_fetcher(collection)),
        )


def _fetched(
    collection: Collection, context: DataContext, fetch: Callable[[Path, Say], Path]
) -> Contents:
    """Download into a temporary folder, verify, and only then move the files into the cache."""

    def say(text: str) -> None:
        context.say(f"{collection.title}: {text}")

    with unfinished_folder(context) as folder:
        with _watched(folder, collection.megabytes * 1_000_000, context.progress):
            fetched = fetch(folder, say)
        files = idx.locate(fetched, collection)
        contents = idx.read(files, collection)
        kept = context.cache_dir / collection.folders[0]
        kept.mkdir(parents=True, exist_ok=True)
        for path in files.values():
            path.replace(kept / path.name)
    return contents


def _downloader(dataset_class: Any) -> Callable[[Path, Say], Path]:
    def fetch(folder: Path, say: Say) -> Path:
        say("downloading with torchvision")
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT_SECONDS)
        try:
            dataset_class(str(folder), download=True)
        finally:
            socket.setdefaulttimeout(before)
        return folder

    return fetch


def _package_fetcher(collection: Collection) -> Callable[[Path, Say], Path]:
    def fetch(folder: Path, say: Say) -> Path:
        say(f"downloading the system's package {collection.debian_package}")
        tree = debian.fetch(collection.debian_package, folder, say)
        return tree.joinpath(*(collection.debian_folder or Path("/")).parts[1:])

    return fetch


@contextmanager
def _watched(folder: Path, total: int, progress: Callable[[int, int], None]) -> Iterator[None]:
    """Report regularly how many of ``total`` bytes are in ``folder``."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(PROGRESS_SECONDS):
            with suppress(OSError):  # a file may be renamed meanwhile
                archives = [*folder.rglob("*.gz"), *folder.rglob("*.deb")]
                progress(min(sum(path.stat().st_size for path in archives), total), total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
