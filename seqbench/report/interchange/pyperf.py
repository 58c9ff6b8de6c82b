"""Export as a benchmark suite of pyperf, written by pyperf itself."""

from __future__ import annotations

import io
from typing import Any

from seqbench.report.columns.column import Document
from seqbench.report.interchange.source import Exported, Source, Timing, require
from seqbench.report.names import some
from seqbench.report.text import clean

#: Names of pyperf for what the environment has.
NAMES = {
    "cpu": "cpu_model_name",
    "cores": "cpu_count",
    "system": "platform",
    "python": "python_version",
    "load": "load_avg_1min",
    "torch": "torch_version",
    "seqbench": "seqbench_version",
}


def export(source: Source) -> Exported:
    """One benchmark for each timing, and in it one run for each process, with one value.

    pyperf takes all values as independent. Calls of one process are not, so its value is the
    process's median; more values would make differences look more certain than they are.

    Raises:
        StoreError: the run has no timings with the figures of their processes.
    """
    import pyperf

    timings = source.timings()
    known = [timing for timing in timings if timing.measurement.values.get("process_medians_s")]
    require(known, "timings with the figures of their processes", source)
    suite = pyperf.BenchmarkSuite([_benchmark(timing, source.document) for timing in known])
    file = io.StringIO()
    suite.dump(file, compact=False)
    notes = [*source.unfinished(), *source.untimed()]
    if len(known) < len(timings):
        names = [f"{t.name} {t.measurement.quantity}" for t in timings if t not in known]
        notes.append(f"left out, without the figures of their processes: {some(names)}")
    return Exported(file.getvalue(), notes)


def _benchmark(timing: Timing, document: Document) -> Any:
    import pyperf

    metadata = _metadata(timing, document)
    values = timing.measurement.values["process_medians_s"]
    # pyperf would otherwise describe the machine that exports, at the time of the export.
    runs = [pyperf.Run([value], metadata=metadata, collect_metadata=False) for value in values]
    return pyperf.Benchmark(runs)


def _metadata(timing: Timing, document: Document) -> dict[str, Any]:
    environment: Any = document["environment"]
    found = {NAMES[name]: environment[name] for name in NAMES if environment.get(name) is not None}
    case, one = timing.case, timing.measurement
    return {
        **{
            name: clean(value) if isinstance(value, str) else value for name, value in found.items()
        },
        "name": f"{timing.name} {one.quantity} {timing.at}",
        "unit": "second",
        "description": "median of each process",
        "model": clean(case["model"]),
        "dataset": clean(case["dataset"]),
        "device": clean(case["device"]),
        "case": case["id"],
        **{name: value for name, value in one.settings.items() if value is not None},
    }
