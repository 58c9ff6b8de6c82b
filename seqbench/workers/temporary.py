"""The temporary folders of the workers: with short paths, and on a file system that has sockets."""

from __future__ import annotations

import os
import socket
import tempfile
from multiprocessing.util import get_temp_dir
from pathlib import Path

#: Searched if TMPDIR is not suitable.
OTHERS = ("/tmp", "/var/tmp", "/dev/shm")

#: A name like those of multiprocessing's sockets, whose folder (``pymp-…``) has a shorter name than
#: this one, which is tried here.
NAME = "listener-xxxxxxxx"


def temporary_folder() -> str:
    """A folder for temporary files in which the sockets of multiprocessing can be created: the
    system's or ``TMPDIR``, or another one if that is not suitable.

    The path of a socket has at most 104 bytes (108 on Linux).

    Raises:
        OSError: there is no such folder.
    """
    first = tempfile.gettempdir()
    for folder in dict.fromkeys((first, *OTHERS)):
        if _has_sockets(folder):
            return folder
    raise OSError(
        f"sockets can be created neither in {first} nor in {', '.join(OTHERS)}: "
        "set TMPDIR to a writable local folder with a short path"
    )


def use_for_multiprocessing(folder: str) -> str:
    """Make multiprocessing put its sockets under ``folder``; returns the folder that it uses, which
    is another one if it was in use before.
    """
    before = tempfile.tempdir
    tempfile.tempdir = folder
    try:
        return str(get_temp_dir())
    finally:
        tempfile.tempdir = before


def _has_sockets(folder: str) -> bool:
    """Whether a socket can be created, and the path is UTF-8 text, as parts of torch require."""
    try:
        os.fsencode(folder).decode("utf-8")
        with tempfile.TemporaryDirectory(prefix="seqbench-", dir=folder) as own:
            path = Path(own, NAME)
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(str(path))
            path.chmod(0o600)  # as multiprocessing does
            path.unlink()
    except (OSError, UnicodeDecodeError):
        return False
    return True
