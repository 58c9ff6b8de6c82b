"""The document of a run is what its definition, its JSON Schema and its description say."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from test_plan import fits

from seqbench.errors import StoreError
from seqbench.records import Comparison as ComparisonRecord
from seqbench.report.run import Run
from seqbench.summary.schema import Comparison, check_document, document_schema

REFERENCE = sorted(path for path in (ROOT / "results" / "reference").iterdir() if path.is_dir())
SCHEMA = document_schema()

Schema = dict[str, Any]


def plain(run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(Run.open(run).document))
    return document


@pytest.fixture(scope="session")
def fresh(timed: Path) -> dict[str, Any]:
    """The document of a run that this version made."""
    return plain(timed)


@pytest.fixture(scope="session")
def printed() -> Schema:
    done = subprocess.run(
        [sys.executable, "-m", "seqbench", "schema", "--document"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    schema: Schema = json.loads(done.stdout)
    return schema


@pytest.mark.parametrize("run", REFERENCE, ids=lambda path: path.name)
def test_runs_made_before_fit_the_schema(run: Path, printed: Schema) -> None:
    document = plain(run)
    assert document["trials"]
    assert document["cases"]
    assert fits(document, printed, printed)
    assert check_document(document) == document
    assert list(unknown_keys(document, SCHEMA)) == []


def test_a_run_made_now_fits_the_schema(fresh: dict[str, Any], printed: Schema) -> None:
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert fits(fresh, printed, printed)
    assert check_document(fresh) == fresh
    assert list(unknown_keys(fresh, SCHEMA)) == []


def test_a_suite_that_has_not_run_yet_fits_the_schema(timed: Path, tmp_path: Path) -> None:
    for name in ("run.json", "plan.json", "suite.yaml"):
        (tmp_path / name).write_bytes((timed / name).read_bytes())
    document = plain(tmp_path)
    assert document["missing"] == 6
    assert check_document(document) == document


def resolved(schema: Schema) -> Schema:
    """Without the reference, and without ``null`` as another possibility."""
    for one in schema.get("anyOf", ()):
        if one != {"type": "null"}:
            return resolved(one)
    if "$ref" in schema:
        return dict(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    return schema


def objects(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Each object with known keys, with its path: ``cases[].metric``."""
    schema = resolved(schema)
    if schema.get("type") == "array":
        yield from objects(schema["items"], f"{path}[]")
    elif "properties" in schema:
        yield path, schema["properties"]
        for key, one in schema["properties"].items():
            yield from objects(one, f"{path}.{key}".lstrip("."))
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from objects(schema["additionalProperties"], path)


def unknown_keys(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Keys that the schema does not have."""
    schema = resolved(schema)
    if isinstance(value, list):
        for item in value:
            yield from unknown_keys(item, schema["items"], f"{path}[]")
    elif isinstance(value, dict):
        others = schema.get("additionalProperties")
        for key, item in value.items():
            if key in schema.get("properties", {}):
                yield from unknown_keys(item, schema["properties"][key], f"{path}.{key}")
            elif "properties" in schema:
                yield f"{path}.{key}"
            elif isinstance(others, dict):
                yield from unknown_keys(item, others, f"{path}.{key}")


def test_every_key_has_a_description_of_one_line() -> None:
    found = dict(objects(SCHEMA))
    assert len(found) > 20
    for path, keys in found.items():
        for key, schema in keys.items():
            assert re.fullmatch(r".{3,120}", schema.get("description", "")), f"{path}.{key}"


def test_the_docs_name_every_key() -> None:
    """In the row of the object that has it, or in a row of its own."""
    text = (ROOT / "docs" / "results.md").read_text("utf-8").split("## The document")[1]
    rows = dict(re.findall(r"^\| `?([^|`]+)`? \| (.*) \|$", text, re.MULTILINE))
    rows[""] = rows["the document"]
    for path, keys in objects(SCHEMA):
        row = rows[path]
        for other in re.findall(r"keys as in `([^`]+)`", row):
            row += rows[other]
        for key in keys:
            own = f"{path}.{key}".lstrip(".")
            named = re.search(rf"`{key}(\[\])?`", row)
            assert named or own in rows or f"{own}[]" in rows, own


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["format"], "1", "format: Input should be a valid integer"),
        (["trials"], {}, "trials: Input should be a valid list"),
        (["trials", 0, "seed"], True, "trials[0].seed: Input should be a valid integer"),
        (["trials", 0, "status"], "good", "trials[0].status: Input should be "),
        (["cases", 1, "latency", 0, "median_s"], "fast",
         "cases[1].latency[0].median_s: Input should be a number"),
        (["cases", 0, "memory", "breakdown", "training", "total"], None,
         "cases[0].memory.breakdown.training.total: Input should be a valid integer"),
        (["comparisons", 0, "verdict"], "faster", "comparisons[0].verdict: Input should be "),
    ],
)  # fmt: skip
def test_a_wrong_kind_of_value_is_refused_with_the_path_of_its_key(
    fresh: dict[str, Any], path: list[Any], value: Any, where: str
) -> None:
    document: Any = copy.deepcopy(fresh)
    *parents, last = path
    place = document
    for part in parents:
        place = place[part]
    place[last] = value
    with pytest.raises(StoreError, match=re.escape(f"not a valid document of a run: {where}")):
        check_document(document)
    assert not fits(document, SCHEMA, SCHEMA)


def test_a_missing_key_is_refused_and_an_unknown_one_is_kept(fresh: dict[str, Any]) -> None:
    document: Any = copy.deepcopy(fresh)
    document["cases"][0]["energy_j"] = 3
    assert check_document(document) == document
    del document["cases"][0]["label"]
    with pytest.raises(StoreError, match=r"cases\[0\].label: Field required"):
        check_document(document)


def test_comparisons_have_the_keys_of_their_records() -> None:
    assert set(Comparison.__annotations__) == set(ComparisonRecord.__dataclass_fields__)
