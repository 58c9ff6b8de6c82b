"""What a command costs; shared by the other scripts."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

PYTHON = sys.executable


@dataclass(frozen=True)
class Spent:
    """Wall and processor seconds (user and system), and the peak of its memory in bytes."""

    wall: float
    cpu: float
    peak: float


def spent(command: Sequence[str], codes: Sequence[int] = (0,)) -> Spent:
    """Runs a command to its end, without its output.

    Raises:
        SystemExit: its exit code is not one of ``codes``.
    """
    clock = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - clock
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in codes:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{errors.decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Spent]:
    """The median of each; every round runs all of them, so drift affects all alike."""
    found: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(spent(command))
    return {
        name: Spent(
            *(median(getattr(one, field) for one in all_) for field in ("wall", "cpu", "peak"))
        )
        for name, all_ in found.items()
    }


def plugin_folder(folder: Path, name: str, code: str) -> None:
    """Writes a one-module plugin to a folder as pip would install it, for use on Python's path."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[seqbench]\n{name} = {name}\n")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Variables for a run with the plugins of ``folder`` and its own cache there."""
    paths = filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])
    own = {"PYTHONPATH": os.pathsep.join(paths), "SEQBENCH_CACHE": str(folder / "cache")}
    return {**os.environ, **own, **variables}


def options(description: str | None, **numbers: int) -> argparse.ArgumentParser:
    """A parser with ``--json FILE`` and integer options, each with its default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    for name, default in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, metavar="N")
    return parser


def show(rows: Sequence[Mapping[str, Any]], file: Path | None) -> None:
    """Prints rows of the same keys as a table; numbers with four digits."""
    cells = [list(rows[0])] + [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )
    if file is not None:
        file.write_text(json.dumps(list(rows), indent=1) + "\n")
