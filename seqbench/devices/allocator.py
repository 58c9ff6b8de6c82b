"""Which library allocates this process's memory."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

#: The name of glibc's own allocator.
GLIBC = "glibc"


def allocator(maps: Path = Path("/proc/self/maps")) -> str | None:
    """The library whose ``malloc`` serves this process: ``glibc``, or the name of its file.

    A library such as jemalloc replaces the system's if it is preloaded (``LD_PRELOAD``) or linked
    into Python. None if unknown: only Linux lists which file an address belongs to.
    """
    try:
        address = ctypes.cast(ctypes.CDLL(None).malloc, ctypes.c_void_p).value or 0
        lines = maps.read_text(errors="surrogateescape").splitlines()
    except (OSError, AttributeError):
        return None
    for line in lines:
        span, *_, path = line.split(maxsplit=5)
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= address < last:
            name = Path(path).name
            return GLIBC if name.startswith(("libc.so", "libc-2")) else name
    return None


def why_unmeasurable() -> str:
    """Why the kernel's count of memory is no measure of a model here; "" if it is.

    Allocators keep freed memory for later, so a pass may need none from the kernel. glibc's returns
    it when asked to; how to ask others differs, if it is possible at all.
    """
    if sys.platform != "linux":
        return ""
    found = allocator()
    if found in (GLIBC, None):
        return ""
    remedy = "; unset LD_PRELOAD" if "LD_PRELOAD" in os.environ else ""
    return f"not measurable with the allocator {found}, which keeps freed memory{remedy}"
