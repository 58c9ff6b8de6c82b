"""Stores the raw latency samples of a case and computes figures; ``sampler.py`` takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from seqbench.records import AS_DATA, Measurement
from seqbench.stats.timing import block_figures, latency_summary, throughput_summary
from seqbench.store.files import read_compressed, write_compressed

#: The first call of a block is affected by the caches and threads of the previous block: it is kept
#: in the samples but excluded from the figures.
DROPPED = 1

#: Facts about a cell, known after it was prepared (see :class:`.cells.Cell`).
FACTS = ("state_bytes", "first_call_s", "graph_breaks", "mixture")

METHOD = "median of per-process medians of blocks interleaved in random order"

#: Follows METHOD where lengths are as in the data, by quantity.
OF_MIXTURE = {
    "latency": "; a block's is the mean over a cycle of test sequences with their own lengths",
    "training_step": "; a block's is the mean over a cycle of batches as in training",
}


@dataclass
class Samples:
    """All raw samples of one case: the content of ``samples/<case>.json.gz``.

    Args:
        cells: the settings of each cell (see :class:`.cells.Cell`); a failed one also has the
            ``status`` and ``reason`` of the failure.
        blocks: ``cell``, ``process``, ``round``, ``ns`` (nanoseconds of each call).
        windows: ``cell``, ``process``, ``samples``, ``seconds``.
        cold: for each process, seconds of the phases before timing.
    """

    cells: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    cold: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Samples:
        """Read the samples that :meth:`write` wrote."""
        content = read_compressed(path)
        return cls(**{name: content[name] for name in ("cells", "blocks", "windows", "cold")})

    def write(self, path: Path, met: str = "") -> None:
        """Write everything atomically.

        The name of the contest comes first (see
        :meth:`seqbench.store.run_folder.RunFolder.samples_are_sound`).

        Raises:
            OSError: the file cannot be written.
        """
        write_compressed(path, {"met": met, "unit": "ns", "dropped": DROPPED, **self.__dict__})

    def add_process(self, cells: Sequence[Mapping[str, Any]], cold: Mapping[str, float]) -> None:
        """Add a process that has loaded the case."""
        if not self.cells:
            self.cells = [{**cell, "steady": True} for cell in cells]
        self.cold.append(dict(cold))

    def warmed_up(self, cell: int, ready: Mapping[str, Any]) -> None:
        """Add a process's report on the warm-up of a cell."""
        entry = self.cells[cell]
        steady = entry["steady"] and ready.get("steady", False)
        first = entry.get("first_call_s")  # later processes find what the first one compiled
        entry |= {name: value for name, value in ready.items() if name != "calls"}
        entry |= {"steady": steady, **({} if first is None else {"first_call_s": first})}

    def open_cells(self) -> list[int]:
        """The cells that have not failed."""
        return [number for number, cell in enumerate(self.cells) if "reason" not in cell]

    def key(self, cell: int) -> tuple[tuple[str, Any], ...]:
        """The settings that two cells must share to be compared."""
        return tuple(sorted(cell_settings(self.cells[cell]).items()))

    def add_block(self, cell: int, process: int, number: int, times: Sequence[int]) -> None:
        self.blocks.append({"cell": cell, "process": process, "round": number, "ns": list(times)})

    def add_window(self, cell: int, samples: int, seconds: float) -> None:
        process = len(self.cold) - 1
        self.windows.append(
            {"cell": cell, "process": process, "samples": samples, "seconds": seconds}
        )

    def window_cells(self) -> list[int]:
        """The cells for throughput: the largest batch size, with the first of all other settings,
        and that with lengths as in the data.
        """
        cells = [n for n in self.open_cells() if self.cells[n]["quantity"] == "latency"]
        mixed = [n for n in cells if self.cells[n]["length"] == AS_DATA]
        largest = (
            max(some, key=lambda n: (self.cells[n]["batch_size"], -n))
            for some in (cells, mixed)
            if some
        )
        return list(dict.fromkeys(largest))

    def cycle(self, cell: int) -> int:
        """The number of calls in a cycle (see :func:`seqbench.stats.timing.block_figures`)."""
        mixture: Mapping[str, int] = self.cells[cell].get("mixture", {})
        return mixture.get("calls", 1)

    def rounds(self, cell: int) -> dict[int, dict[int, list[float]]]:
        """Seconds of each counted call of a cell, by process and round."""
        rounds: dict[int, dict[int, list[float]]] = {}
        for block in self.blocks:
            if block["cell"] == cell:
                seconds = [ns / 1e9 for ns in block["ns"][DROPPED:]]
                rounds.setdefault(block["process"], {})[block["round"]] = seconds
        return rounds

    def round_figures(self, cell: int) -> dict[int, dict[int, float]]:
        """The figure of each block of a cell (:func:`seqbench.stats.timing.block_figures`), by
        process and round.
        """
        return {
            process: dict(
                zip(rounds, block_figures([*rounds.values()], self.cycle(cell)), strict=True)
            )
            for process, rounds in self.rounds(cell).items()
        }

    def summary(self, cell: int) -> dict[str, Any]:
        """The figures of one cell (see :func:`seqbench.stats.timing.latency_summary`)."""
        rounds = self.rounds(cell)
        blocks = [list(rounds[process].values()) for process in sorted(rounds)]
        return latency_summary(blocks, self.cycle(cell))

    def half_width(self) -> float:
        """Half the width of the widest interval of a latency, or of the training step, as a
        fraction of its figure.
        """
        return max(
            (
                _half_width(self.summary(cell))
                for cell in self.open_cells()
                if self.cells[cell]["quantity"] != "step"
            ),
            default=0.0,
        )

    def measurements(self, name: str, precision: float) -> Iterator[Measurement]:
        """All measurements of the case; ``name`` is its samples file in the run's folder."""
        for number, cell in enumerate(self.cells):
            at = cell_settings(cell)
            quantity = at.pop("quantity")
            method = METHOD + (OF_MIXTURE[quantity] if at["length"] == AS_DATA else "")
            if "reason" in cell:
                status, reason = cell["status"], cell["reason"]
                yield Measurement(quantity, "s", at, status=status, reason=reason, method=method)
                continue
            values = self.summary(number)
            values |= {"steady": cell["steady"], "precise": _half_width(values) <= precision}
            values |= {name: cell[name] for name in FACTS if name in cell}
            yield Measurement(quantity, "s", at, values, samples=name, method=method)
            if "sequences" in cell:
                rate = _rate(values, cell["sequences"])
                yield Measurement(
                    "training_throughput", "1/s", at, rate, samples=name,
                    method="sequences of a step ÷ its time",
                )  # fmt: skip
        yield from self._throughput(name)
        names = dict.fromkeys(name for one in self.cold for name in one)
        cold = {name: median([one[name] for one in self.cold if name in one]) for name in names}
        if not cold:
            return
        yield Measurement(
            "cold", "s", {}, cold, samples=name, method="median over processes, each loading alone"
        )

    def _throughput(self, name: str) -> Iterator[Measurement]:
        for cell in self.window_cells():
            windows = [window for window in self.windows if window["cell"] == cell]
            if not windows:
                continue
            at = cell_settings(self.cells[cell])
            del at["quantity"]
            values = throughput_summary([(w["samples"], w["seconds"]) for w in windows])
            yield Measurement(
                "throughput", "1/s", at, values, samples=name, method="one window per process"
            )


def cell_settings(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Quantity and settings of a cell, without status and facts."""
    names = ("quantity", "batch_size", "length", "threads", "runtime")
    return {name: cell[name] for name in names}


def _rate(timing: Mapping[str, Any], sequences: float) -> dict[str, Any]:
    """Sequences per second, from the time of a step with so many."""
    low, high = (None if timing[end] is None else sequences / timing[end]
                 for end in ("high_s", "low_s"))  # fmt: skip
    rate = sequences / timing["median_s"]
    return {"per_s": rate, "low_per_s": low, "high_per_s": high, "n": timing["processes"]}


def _half_width(values: Mapping[str, Any]) -> float:
    """Half the interval's width as a fraction of the figure; infinite without an interval."""
    if values["low_s"] is None:
        return float("inf")
    return float((values["high_s"] - values["low_s"]) / 2 / values["median_s"])
