"""Reads and verifies the four IDX files of a collection, gzipped or not.

An IDX file starts with two zero bytes, the type of its values (8: unsigned bytes), the number of
dimensions, and each dimension as four bytes, big-endian; the values follow.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from seqbench.errors import DataError
from seqbench_builtin.images.catalog import OWNERS, Collection

FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
CLASSES = 10


class Missing(DataError):
    """A folder contains none of the files."""


def locate(folder: Path, collection: Collection) -> dict[str, Path]:
    """Find the four files of ``collection`` in ``folder``, or in a folder in it with its name.

    Raises:
        Missing: none of them exists.
        DataError: only some of them exist.
    """
    for name in collection.folders:
        found = _files_in(folder / name)
        if found:
            missing = [file for file in FILES if file not in found]
            if missing:
                raise DataError(f"{folder / name}: missing {' and '.join(missing)} (or .gz)")
            return found
    raise Missing(f"{folder} does not contain the files of {collection.title}")


def read(files: Mapping[str, Path], collection: Collection) -> dict[str, bytes]:
    """Read the decompressed content of the four files.

    Raises:
        DataError: a file is truncated, not an IDX file, or of another collection.
    """
    contents = {}
    for name, shape in FILES.items():
        content = _content(files[name], shape)
        problem = _problem(content, shape) or _wrong_owner(content, name, collection)
        if problem:
            raise DataError(f"{files[name]} {problem}")
        contents[name] = content
    return contents


def _files_in(folder: Path) -> dict[str, Path]:
    found = {}
    for name in FILES:
        # The compressed one first, since torchvision verified it.
        for path in (folder / f"{name}.gz", folder / name):
            if path.is_file():
                found[name] = path
                break
    return found


def _content(path: Path, shape: tuple[int, ...]) -> bytes:
    """Decompress at most one byte more than expected, to bound memory."""
    expected = len(_header(shape)) + math.prod(shape)
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as stream:
            content: bytes = stream.read(expected + 1)
    except EOFError:
        raise DataError(f"{path} is truncated") from None
    except (OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) < expected:
        raise DataError(f"{path} is truncated ({len(content)} of {expected} bytes)")
    return content


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def _problem(content: bytes, shape: tuple[int, ...]) -> str:
    header = _header(shape)
    if not content.startswith(header):
        return f"is not an IDX file of {' x '.join(map(str, shape))} bytes"
    if len(content) > len(header) + math.prod(shape):
        return "is longer than its header declares"
    if len(shape) == 1 and max(content[len(header) :]) >= CLASSES:
        return f"has label {max(content[len(header) :])}, but there are {CLASSES} classes"
    return ""


def _wrong_owner(content: bytes, name: str, collection: Collection) -> str:
    digest = hashlib.sha256(content).hexdigest()
    owner = OWNERS.get(digest)
    if owner not in (None, collection.title):
        return f"belongs to {owner}, not {collection.title}"
    if collection.digests and digest != collection.digests[name]:
        return (
            f"is not {collection.title}: the format is right but the content differs "
            f"(SHA-256 {digest[:12]}…, not {collection.digests[name][:12]}…)"
        )
    return ""
