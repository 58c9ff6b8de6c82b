"""Records read from disk and checked against their definition (:mod:`seqbench.records`).

pydantic parses and validates JSON in one pass, in half the time of the standard library's parser
alone. It is imported when the first record is read, so that other commands start faster.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import NotRequired

from seqbench.plugins.loading import import_object
from seqbench.quantities import find
from seqbench.records import CaseRecord, Comparison, Keys, Measurement, TrialRecord
from seqbench.store.format_1 import from_format_1
from seqbench.store.json_files import Damaged, read_bytes

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

#: Required ``metrics`` of a successful trial.
TRAINED = ("value", "last", "best")


class Compared(Keys):
    """The comparisons of one contest: ``comparisons/*.json``."""

    format: NotRequired[int]
    met: NotRequired[str]
    comparisons: list[Comparison]


def read_trial(path: Path) -> TrialRecord:
    """Read the record of one trial. Raises Damaged, or StoreError if it is unreadable."""
    record: TrialRecord = read_valid(TrialRecord, path)
    if record.id != path.stem:
        raise Damaged(f"{path} contains the record of another trial, {record.id}")
    if record.id != f"{record.case}-s{record.seed}":
        raise Damaged(f"{path}: its case and seed are not those of its id")
    if record.status == "ok":
        for name in TRAINED:
            if name not in record.metrics:
                raise Damaged(f"{path}: metrics.{name}: Field required")
    for name, score in record.scores.items():
        if score["status"] == "ok" and score["value"] is None:
            raise Damaged(f"{path}: scores.{name}.value: Input should be a number")
    return record


def read_case(path: Path) -> CaseRecord:
    """Read the record of one case. Raises Damaged, or StoreError if it is unreadable."""
    record: CaseRecord = read_valid(CaseRecord, path)
    for number, measurement in enumerate(record.measurements):
        _check_figures(measurement, path, number)
    return record


def read_compared(path: Path) -> Compared:
    """Read the comparisons of one contest. Raises Damaged, or StoreError if unreadable."""
    found: Compared = read_valid(Compared, path)
    if found.get("format", 1) < 2:
        found["comparisons"] = [from_format_1(each) for each in found["comparisons"]]
    return found


def _check_figures(measurement: Measurement, path: Path, number: int) -> None:
    from pydantic import ValidationError

    figures = _figures(measurement.quantity)
    if measurement.status != "ok" or figures is None:
        return
    try:
        figures.validate_python(measurement.values, strict=True)
    except ValidationError as error:
        where = f"measurements[{number}].values"
        raise Damaged(f"{path}: {first_problem(error, where)}") from None
    for name in find(measurement.quantity).settings:
        if name not in measurement.settings:
            raise Damaged(f"{path}: measurements[{number}].settings.{name}: Field required")


def _figures(quantity: str) -> TypeAdapter[Any] | None:
    """The validator of a quantity's figures; None if its type is not defined."""
    figures = find(quantity).figures
    return adapter(import_object(figures)) if figures else None


def read_valid(kind: Any, path: Path) -> Any:
    """Read a file as a value of the type ``kind``.

    Raises:
        Damaged: it is missing, or its content is not of that type. StoreError: it is unreadable.
    """
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
    """The validator for a type, created once."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def first_problem(error: ValidationError, where: str = "") -> str:
    """The first problem in a value: the path of the key, and what is expected.

    Args:
        where: the path of the value.
    """
    problem = error.errors(include_url=False, include_input=False)[0]
    for part in problem["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{where.lstrip('.')}: {problem['msg']}"
