"""Export as event files of TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqbench.records import TrialRecord
from seqbench.report.columns.column import Case
from seqbench.report.interchange.source import (
    Source,
    cases_of,
    epoch_ends,
    own_metric,
    parameters_of,
    require,
    values_on_parts,
)

#: The end of the names of event files that were written here, by which those of an earlier export
#: are found.
SUFFIX = ".seqbench"

#: The entries of a learning curve, and their names in TensorBoard.
CURVE = {
    "train_loss": "loss/train",
    "validation_loss": "loss/validation",
    "validation": "{metric}/validation",
}


def export(source: Source, path: Path) -> list[str]:
    """Write ``<path>/<run>/<trial>/events…`` for each trial: the learning curve by epoch, and for
    successful ones the parameters with the test metric (the tab *HParams*).

    Event files of an earlier export of the same run are replaced.

    Raises:
        StoreError: no trial has ended. OSError: the files cannot be written.
    """
    require(source.trials, "trials", source)
    cases = cases_of(source)
    folder = path / source.path.name
    earlier = [file for file in folder.glob(f"*/*{SUFFIX}") if file.is_file()]
    for record in source.trials:
        _write(record, cases[record.id], folder / record.id)
    for file in earlier:
        file.unlink()
    replaced = f"replaced the earlier export of {source.run_name}"
    return [*source.unfinished(), *([replaced] if earlier else [])]


def _write(record: TrialRecord, case: Case, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    folder.mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(str(folder), filename_suffix=SUFFIX)
    try:
        ends = epoch_ends(record)
        for entry, end in zip(record.curve, ends, strict=True):
            for key, name in CURVE.items():
                if key in entry:
                    tag = name.format(metric=record.metric or "metric")
                    value: Any = entry[key]  # type: ignore[literal-required]
                    writer.add_scalar(tag, value, entry["epoch"], walltime=end)
        last = ends[-1] if ends else None
        status = " ".join(filter(None, (record.status, record.reason)))
        writer.add_text("seqbench/status", status, walltime=last)
        if record.status == "ok":
            metrics = _final(record)
            epoch = record.metrics["best_epoch"] or len(record.curve)
            parts = {f"{m}/test/{part}": value for m, part, value in values_on_parts(record)}
            for name, value in {**metrics, **parts}.items():
                writer.add_scalar(name, value, epoch, walltime=last)
            for summary in hparams(_parameters(case, record), metrics):
                writer.file_writer.add_summary(summary)
    finally:
        writer.close()


def _final(record: TrialRecord) -> dict[str, float]:
    """The primary metric, the task's own, and the suite's other metrics."""
    found = {f"{record.metric}/test": record.metrics["value"]}
    found |= {f"{name}/test": value for name, value in own_metric(record).items()}
    scores = {f"{name}/test": score["value"] for name, score in record.scores.items()}
    return {name: float(value) for name, value in {**found, **scores}.items() if value is not None}


def _parameters(case: Case, record: TrialRecord) -> Mapping[str, Any]:
    """Parameters as TensorBoard can show them: others than numbers and texts as JSON."""
    found = {**parameters_of(case), "seed": record.seed}
    return {
        name: value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
        for name, value in found.items()
        if value is not None
    }
