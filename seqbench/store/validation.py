"""Records read from disk and checked against their definition (:mod:`seqbench.records`).

pydantic reads JSON and checks it in one go, which takes half the time of the standard library's
parser alone. It is imported with the first record: commands that read none start without it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import NotRequired

from seqbench.records import FIGURES, CaseRecord, Comparison, Keys, Measurement, TrialRecord
from seqbench.store.json_files import Damaged, read_bytes

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

#: What a trial that trained has in its ``metrics``.
TRAINED = ("value", "last", "best")


class Compared(Keys):
    """What one contest gave: ``comparisons/*.json``."""

    met: NotRequired[str]
    comparisons: list[Comparison]


def read_trial(path: Path) -> TrialRecord:
    """The record of one trial. Raises Damaged; StoreError: it cannot be read."""
    record: TrialRecord = _read(TrialRecord, path)
    if record.id != path.stem:
        raise Damaged(f"{path} holds the record of another trial, {record.id}")
    if record.status == "ok":
        for name in TRAINED:
            if name not in record.metrics:
                raise Damaged(f"{path}: metrics.{name}: Field required")
    for name, score in record.scores.items():
        if score["status"] == "ok" and score["value"] is None:
            raise Damaged(f"{path}: scores.{name}.value: Input should be a number")
    return record


def read_case(path: Path) -> CaseRecord:
    """What was measured of one case. Raises Damaged; StoreError: it cannot be read."""
    record: CaseRecord = _read(CaseRecord, path)
    for number, measurement in enumerate(record.measurements):
        _check_figures(measurement, path, number)
    return record


def read_compared(path: Path) -> Compared:
    """What one contest gave. Raises Damaged; StoreError: it cannot be read."""
    found: Compared = _read(Compared, path)
    return found


def _check_figures(measurement: Measurement, path: Path, number: int) -> None:
    from pydantic import ValidationError

    if measurement.status != "ok" or measurement.quantity not in FIGURES:
        return
    try:
        adapter(FIGURES[measurement.quantity]).validate_python(measurement.values, strict=True)
    except ValidationError as error:
        where = f"measurements[{number}].values"
        raise Damaged(f"{path}: {first_problem(error, where)}") from None


def _read(kind: Any, path: Path) -> Any:
    """A record from its file; keys that a later version added are left out."""
    from pydantic import ValidationError

    try:
        return adapter(kind).validate_json(read_bytes(path), strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        if problem["type"] == "json_invalid":
            raise Damaged(f"{path} is not valid JSON: {problem['ctx']['error']}") from None
        raise Damaged(f"{path}: {first_problem(error)}") from None


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What checks values of a kind, made once."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def first_problem(error: ValidationError, where: str = "") -> str:
    """The first thing wrong in a value: the path of the key, and what should be there.

    Args:
        where: the path of the value.
    """
    problem = error.errors(include_url=False, include_input=False)[0]
    for part in problem["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{where.lstrip('.')}: {problem['msg']}"
