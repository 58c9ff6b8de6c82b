"""The raw samples of latency: the seconds of every counted call, read from the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import NotRequired

from seqbench.records import CaseRecord, Keys, Length, Mixture, Status
from seqbench.stats.timing import block_figures
from seqbench.store.files import read_compressed
from seqbench.store.json_files import Damaged

#: Seconds of each call, by process and round.
Rounds = Mapping[int, Mapping[int, tuple[float, ...]]]


@dataclass(frozen=True)
class Calls:
    """The counted calls of one case at one combination of settings (a cell).

    The first calls of each block, which do not count in any figure, are left out.

    Args:
        quantity: ``latency``, ``step`` or ``training_step``.
        settings: ``batch_size``, ``length``, ``threads``, ``runtime``: those of the measurement
            with its figures (:class:`seqbench.records.Measurement`).
        rounds: seconds of each call in the order of time, by process and by round, both from 0.
            Only processes are independent; calls of one process are not.
        status, reason: of the cell; one that failed may still have calls from before.
        cycle: with lengths as in the data, each block has whole cycles of so many calls, each of
            which has its own sequences, always in the same order; else 1.
    """

    quantity: str
    settings: Mapping[str, Any]
    rounds: Rounds = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""
    cycle: int = 1

    @property
    def processes(self) -> list[list[tuple[float, ...]]]:
        """For each process its blocks, for each block its calls in seconds: what
        :func:`seqbench.stats.timing.latency_summary` takes, with ``cycle``.
        """
        return [
            [rounds[number] for number in sorted(rounds)]
            for rounds in (self.rounds[process] for process in sorted(self.rounds))
        ]

    @property
    def round_figures(self) -> dict[int, dict[int, float]]:
        """The figure of each block (:func:`seqbench.stats.timing.block_figures`), by process and
        round.
        """
        return {
            process: dict(zip(rounds, block_figures([*rounds.values()], self.cycle), strict=True))
            for process, rounds in self.rounds.items()
        }

    @property
    def seconds(self) -> list[float]:
        """Every call in seconds, by process and round."""
        return [call for blocks in self.processes for block in blocks for call in block]


class _StoredCell(Keys):
    quantity: str
    batch_size: int
    length: NotRequired[Length]
    threads: NotRequired[int]
    runtime: NotRequired[str]
    status: NotRequired[Status]
    reason: NotRequired[str]
    mixture: NotRequired[Mixture]


class _StoredBlock(Keys):
    cell: int
    process: int
    round: int
    ns: list[int]


class _StoredSamples(Keys):
    """The part of ``samples/<case>.json.gz`` that is read here."""

    met: NotRequired[str]
    dropped: int
    cells: list[_StoredCell]
    blocks: list[_StoredBlock]


SETTINGS = ("batch_size", "length", "threads", "runtime")


def calls_of(folder: Path, record: CaseRecord) -> list[Calls]:
    """The calls behind the timings of a case, one for each cell; empty if nothing was timed.

    Args:
        folder: the run's folder.

    Raises:
        Damaged: a file of samples is missing (``seqbench rm --samples`` deletes them), damaged, or
            from another contest than the figures.
    """
    contests = {job["met"] for job in record.jobs if job.get("met")}
    names = dict.fromkeys(one.samples for one in record.measurements if one.samples)
    found: list[Calls] = []
    for name in names:
        stored = _read(folder / name)
        if contests and stored.get("met") not in contests:
            raise Damaged(f"{folder / name} is from another contest than the figures")
        found += _calls(stored)
    return found


def read_calls(path: Path) -> list[Calls]:
    """The calls in one file of samples, one for each cell. Raises Damaged."""
    return _calls(_read(path))


def _read(path: Path) -> _StoredSamples:
    from pydantic import ValidationError

    from seqbench.store.validation import adapter, first_problem

    try:
        stored: _StoredSamples = adapter(_StoredSamples).validate_python(
            read_compressed(path), strict=True
        )
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except ValidationError as error:
        raise Damaged(f"{path}: {first_problem(error)}") from None
    except (OSError, EOFError, ValueError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from None
    for number, block in enumerate(stored["blocks"]):
        if not 0 <= block["cell"] < len(stored["cells"]):
            raise Damaged(f"{path}: blocks[{number}].cell: there is no cell {block['cell']}")
        cycle = _cycle(stored["cells"][block["cell"]])
        if max(0, len(block["ns"]) - max(0, stored["dropped"])) % cycle:
            raise Damaged(f"{path}: blocks[{number}].ns: not in whole cycles of {cycle} calls")
    return stored


def _cycle(cell: _StoredCell) -> int:
    return max(1, cell["mixture"]["calls"]) if "mixture" in cell else 1


def _calls(stored: _StoredSamples) -> list[Calls]:
    dropped = max(0, stored["dropped"])
    rounds: list[dict[int, dict[int, tuple[float, ...]]]] = [{} for _ in stored["cells"]]
    for block in stored["blocks"]:
        counted = tuple(ns / 1e9 for ns in block["ns"][dropped:])
        if counted:
            rounds[block["cell"]].setdefault(block["process"], {})[block["round"]] = counted
    return [_of_cell(*pair) for pair in zip(stored["cells"], rounds, strict=True)]


def _of_cell(cell: _StoredCell, rounds: Rounds) -> Calls:
    known: Mapping[str, Any] = cell
    settings = {name: known[name] for name in SETTINGS if name in cell}
    status, reason = cell.get("status", "ok"), cell.get("reason", "")
    return Calls(
        cell["quantity"], settings, rounds, status=status, reason=reason, cycle=_cycle(cell)
    )
