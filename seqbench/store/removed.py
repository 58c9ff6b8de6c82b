"""``removed.json``: which files were removed from a run on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seqbench.errors import StoreError
from seqbench.records import FORMAT
from seqbench.store.json_files import read_json_or, write_json

REMOVED_FILE = "removed.json"


class RemovedFiles:
    """The files of a run that were removed on purpose: weights, samples and answers, by their names
    in the run's folder. A name stays listed if its file is written again, until
    :meth:`forget_restored`.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._names: frozenset[str] | None = None

    def names(self) -> frozenset[str]:
        """The names of the files."""
        if self._names is None:
            path = self._folder / REMOVED_FILE
            listed = read_json_or(path, {}).get("files") if path.exists() else None
            self._names = frozenset(map(str, listed if isinstance(listed, list) else ()))
        return self._names

    def is_gone(self, name: str) -> bool:
        """Whether a file was removed on purpose and has not been written again."""
        return name in self.names() and not (self._folder / name).exists()

    def remove(self, names: Iterable[str]) -> int:
        """Delete files, after listing them, and return their size in bytes. Call while holding the
        run's lock. A name that does not exist is ignored.

        Raises:
            StoreError: the list cannot be written, or a file not be deleted.
        """
        paths = {name: self._folder / name for name in names}
        sizes = {name: path.lstat().st_size for name, path in paths.items() if _is_file(path)}
        if sizes:
            self._write(self.names() | sizes.keys())
        for name in sizes:
            try:
                paths[name].unlink()
            except OSError as error:
                raise StoreError(f"cannot delete {paths[name]}: {error.strerror}") from error
        return sum(sizes.values())

    def forget_restored(self) -> None:
        """Take files that exist again off the list."""
        gone = frozenset(name for name in self.names() if self.is_gone(name))
        if gone != self.names():
            self._write(gone)

    def _write(self, names: frozenset[str]) -> None:
        write_json(self._folder / REMOVED_FILE, {"format": FORMAT, "files": sorted(names)})
        self._names = names


def _is_file(path: Path) -> bool:
    """Whether there is a file, or a link, which is deleted without its target."""
    return path.is_symlink() or path.is_file()
