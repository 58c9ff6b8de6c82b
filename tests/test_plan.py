"""Plans: the cases and trials that a suite expands to, their labels, and limits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import time
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from suite_registry import DATASETS, MODELS, ORIGIN, REGISTRY

from seqbench.errors import UnknownName, UsageError
from seqbench.measure.payloads import MetricPayload, TimingSettings, TrainedModel
from seqbench.plan.cases import Case, Metric, Report, Runtime, Trial
from seqbench.plan.expand import Plan, make_plan, trial_count
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Offer, Origin, Plugin, Registry
from seqbench.report.notes import training_words
from seqbench.suite.files import read_suite
from seqbench.suite.json_schema import json_schema
from seqbench.suite.validate import load_suite, parse_suite
from seqbench.training.data import prepared_file
from seqbench.workers.messages import payload_to_json

#: The suites that need no other package.
SHIPPED = sorted(path for path in (ROOT / "suites").glob("*.yaml") if path.stem != "zoo")


def planned(text: str, **options: Any) -> Plan:
    return make_plan(parse_suite(text, registry=REGISTRY), REGISTRY, **options)


def labels(entries: str, **options: Any) -> list[str]:
    return [
        case.label for case in planned(f"datasets: [parity]\nmodels: {entries}", **options).cases
    ]


def test_cases_are_datasets_times_devices_times_models_times_grids() -> None:
    result = planned(
        """
        datasets: [parity, adding: {length: [10, 20]}]
        models: [rnn: {num_layers: [1, 2], hidden_size: [3, 4]}, lstm]
        devices: [cpu, cuda]
        seeds: [5, 3]
        """
    )
    assert len(result.cases) == 3 * 2 * 5
    assert [trial.seed for trial in result.trials[:4]] == [5, 3, 5, 3]
    assert [trial.case for trial in result.trials[::2]] == list(result.cases)
    assert len({case.id for case in result.cases}) == len(result.cases)
    assert len({trial.id for trial in result.trials}) == len(result.trials)
    assert [case.dataset.params["length"] for case in result.cases[::10]] == [8, 10, 20]


def test_a_case_contains_everything_needed_to_run_it() -> None:
    (case,) = planned("datasets: [parity: {length: 4}]\nmodels: [rnn: {dropout: 0}]").cases
    assert case.model.import_path == "m:rnn"
    assert case.model.kind == "encoder"
    assert (case.model.distribution, case.model.version) == ("seqbench", "0.1.0")
    assert case.model.params["hidden_size"] == 128
    assert case.model.params["readout"] == "last"
    assert type(case.model.params["dropout"]) is float
    assert case.dataset.import_path == "d:parity"
    assert case.dataset.params["length"] == 4
    assert case.dataset.kind == ""
    assert case.train["optimizer"]["name"] == "adam"
    assert case.device == "auto"


def test_devices_are_resolved_and_duplicates_removed() -> None:
    text = "datasets: [parity]\nmodels: [rnn]\ndevices: [auto, cpu, 'cuda:1']\nseeds: 1"
    result = planned(text).on({"cpu": ""})
    assert [case.device for case in result.cases] == ["cpu", "cuda:1"]


def test_the_plan_is_plain_data() -> None:
    result = planned(
        "notes: Hello\ndatasets: [parity]\nmodels: [rnn: {}, whole: {}]\nseeds: 2\n"
        "measure: [accuracy, latency]"
    )
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["suite"] == "suite"
    assert data["notes"] == "Hello"
    assert [case["id"] for case in data["cases"]] == [case.id for case in result.cases]
    assert data["trials"][1] == {
        "id": f"{result.cases[0].id}-s1", "case": result.cases[0].id, "seed": 1,
    }  # fmt: skip
    assert data["cases"][1]["model"]["params"] == {"sizes": [3, 4]}


def test_ids_and_json_keys_are_those_of_earlier_runs() -> None:
    """A resume recognizes trials and measurements by them."""
    gru = Choice("gru", {"size": 3}, "m:gru", "models", "1.0", kind="encoder", source="0123456789")
    data = Choice("parity", {"length": 4}, "d:parity", "data", "2.0", source="abcdef0123")
    train = {"epochs": 1, "optimizer": {"name": "sgd", "params": {"lr": 0.1}}}
    case = Case("A", gru, data, train, device="cpu", reference={"accuracy": 1.0}, note="B")
    metric = Metric("top_k k=5", dataclasses.replace(data, name="top_k"), ("label",), True, True)
    report = Report("winners", dataclasses.replace(data, name="winners"), "md")
    exported = dataclasses.replace(data, name="exported")
    plan = Plan(
        parse_suite("datasets: [parity]\nmodels: [gru]\ndevices: [cpu]", registry=REGISTRY),
        cases=(case,),
        trials=(Trial(case, 0),),
        metrics=(metric,),
        reports=(report,),
        runtimes=(Runtime("exported", exported),),
    )
    written = plan.to_dict()
    subject = TrainedModel(gru, "d", "cpu", "w", train)
    timing = TimingSettings(
        budget=1.0, batch_sizes=(1,), seq_lens=(), threads=(1,), runtimes=("exported",),
        processes=2, warm_up=0.1, precision=0.02, training_step=False,
        plugin_runtimes={"exported": exported},
    )  # fmt: skip
    assert plan.trials[0].id == "gru-52900715f7-s0"
    assert metric.id == "top_k-f3280f8c89"
    assert prepared_file(data) == "prepared/parity-708cd91bb0.safetensors"
    assert (
        sha256({key: written[key] for key in ("metrics", "reports", "runtimes", "cases")})
        == "3dbfda7abb69698b"
    )
    assert sha256(payload_to_json(MetricPayload(subject, metric))) == "adf62adfb19fca93"
    assert sha256(timing.identity()) == "fe2f73410eee4790"
    assert written["cases"][0]["model"]["target"] == "m:gru"


def sha256(value: Any) -> str:
    """Of a value as JSON, its keys in their order."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def test_labels_and_remarks_do_not_change_a_case() -> None:
    plain = planned("datasets: [parity]\nmodels: [rnn: {hidden_size: 128}]").cases[0]
    text = "datasets: [parity]\nmodels: [{rnn: , label: A, note: B, reference: {accuracy: 1}}]"
    named = planned(text).cases[0]
    assert (named.label, named.note, named.reference) == ("A", "B", {"accuracy": 1.0})
    assert named.id == plain.id


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("[rnn, lstm]", ["rnn", "lstm"]),
        ("[rnn: {num_layers: [1, 2], hidden_size: 7}]", ["rnn num_layers=1", "rnn num_layers=2"]),
        (
            "[rnn: {hidden_size: 7}, rnn: {nonlinearity: relu}, lstm: {num_layers: 9}]",
            ["rnn hidden_size=7 nonlinearity=tanh", "rnn hidden_size=128 nonlinearity=relu",
             "lstm"],
        ),
        ("[{rnn: {bidirectional: [true, false]}, label: Mine}]",
         ["Mine bidirectional=true", "Mine bidirectional=false"]),
        ("[{rnn: , label: A}, {rnn: {hidden_size: 5}}]", ["A", "rnn"]),
        ("[lstm, {lstm: , train: {optimizer: {sgd: {lr: 0.01}}}}]",
         ["lstm adam", "lstm sgd lr=0.01"]),
        ("[{lstm: , train: {epochs: 1}}, {lstm: , train: {epochs: 2}}]",
         ["lstm epochs=1", "lstm epochs=2"]),
        ("[{lstm: , train: {schedule: {step: {step_size: 1}}}}, lstm, {lstm: {hidden_size: 1}}]",
         ["lstm hidden_size=128 schedule=step step.step_size=1 step.gamma=0.1",
          "lstm hidden_size=128 schedule=null", "lstm hidden_size=1"]),
        ("[{rnn: , label: A}, {lstm: , label: A}]", ["A", "A (2)"]),
        ("[{rnn: , label: A (2)}, {lstm: , label: A}, {gru: , label: A}]", ["A (2)", "A", "A (3)"]),
        ("[whole: {sizes: [[1], [2, 3]]}]", ["whole sizes=[1]", "whole sizes=[2, 3]"]),
    ],
)  # fmt: skip
def test_labels_show_what_differs(models: str, expected: list[str]) -> None:
    assert labels(models) == expected


class TestFilters:
    MODELS = "[rnn: {num_layers: [1, 2]}, {lstm: , label: Long}, gru]"

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (["rnn"], ["rnn num_layers=1", "rnn num_layers=2"]),
            (["rnn num_layers=2"], ["rnn num_layers=2"]),
            (["Long"], ["Long"]),
            (["lstm", "gru"], ["Long", "gru"]),
        ],
    )
    def test_models_by_name_or_label(self, wanted: list[str], expected: list[str]) -> None:
        assert labels(self.MODELS, models=wanted) == expected

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"models": ["grru"]}, "this suite has no model 'grru'; did you mean 'gru'?"),
            ({"models": ["rnn", "x"]}, "available: rnn, lstm, Long, gru"),
            ({"models": ["rnn num_layers=3"]}, "did you mean 'rnn num_layers="),
            (
                {"datasets": ["adding"]},
                "this suite has no dataset 'adding'; available: par",
            ),
        ],
    )
    def test_a_filter_that_matches_nothing(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError) as caught:
            labels(self.MODELS, **options)
        assert message in str(caught.value)

    def test_datasets(self) -> None:
        text = "datasets: [parity, adding]\nmodels: [rnn]\nseeds: 3"
        result = planned(text, datasets=["adding"])
        assert [trial.case.dataset.name for trial in result.trials] == ["adding"] * 3

    def test_a_filtered_case_is_the_same_case(self) -> None:
        text = f"datasets: [parity]\nmodels: {self.MODELS}"
        every, some = planned(text).cases, planned(text, models=["rnn"]).cases
        assert some == every[:2]


class TestTooMany:
    VALUES = f"[{', '.join(map(str, range(1, 1001)))}]"

    def test_a_huge_grid_is_counted_and_refused_at_once(self) -> None:
        names = ("hidden_size", "num_layers", "embedding_size")
        grid = f"{{{', '.join(f'{name}: {self.VALUES}' for name in names)}}}"
        text = f"datasets: [parity]\nmodels: [rnn: {grid}]\nseeds: 2"
        start = time.monotonic()
        suite = parse_suite(text, registry=REGISTRY)
        assert trial_count(suite, REGISTRY) == 2 * 10**9
        for allow_many in (False, True):
            with pytest.raises(UsageError, match="2,000,000,000 trials"):
                make_plan(suite, REGISTRY, allow_many=allow_many)
        assert time.monotonic() - start < 5

    def test_a_thousand_trials_are_allowed_and_more_need_confirmation(self) -> None:
        text = f"datasets: [parity]\nmodels: [rnn: {{hidden_size: {self.VALUES}}}]\nseeds: "
        assert len(planned(f"{text}1").trials) == 1000
        with pytest.raises(UsageError, match=r"2,000 trials \(1,000 cases × 2 seeds\).*--yes"):
            planned(f"{text}2")
        assert len(planned(f"{text}2", allow_many=True).trials) == 2000

    def test_a_filter_counts_before_the_limit(self) -> None:
        text = f"datasets: [parity]\nmodels: [rnn: {{hidden_size: {self.VALUES}}}, lstm]\nseeds: 2"
        assert len(planned(text, models=["lstm"]).trials) == 2


def test_two_distributions_with_one_name_stay_apart() -> None:
    other = Origin("other", "other-models", "2.0")
    registry = Registry(
        (
            Plugin(ORIGIN, tuple(Offer(spec, ORIGIN) for spec in (*MODELS, *DATASETS))),
            Plugin(other, (Offer(MODELS[0], other),)),
        )
    )  # fmt: skip
    text = "datasets: [parity]\nmodels: ['seqbench:rnn', 'other-models:rnn']"
    result = make_plan(parse_suite(text, registry=registry), registry, models=["rnn"])
    assert [case.label for case in result.cases] == ["seqbench:rnn", "other-models:rnn"]
    assert [case.model.version for case in result.cases] == ["0.1.0", "2.0"]
    assert [case.model.name for case in result.cases] == ["rnn", "rnn"]
    with pytest.raises(UnknownName):
        make_plan(parse_suite(text, registry=registry), REGISTRY)


ENTRY = st.tuples(
    st.sampled_from(["rnn", "lstm"]),
    st.lists(st.integers(1, 3), min_size=1, max_size=2, unique=True),
    st.sampled_from(["", "rnn", "A"]),
    st.sampled_from([None, {"epochs": 2}, {"optimizer": "sgd"}]),
)


@given(st.lists(ENTRY, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_labels_and_ids_are_unique(entries: list[tuple[str, list[int], str, Any]]) -> None:
    from seqbench.errors import SuiteError

    models = []
    for name, sizes, label, train in entries:
        entry: dict[str, Any] = {name: {"hidden_size": sizes}}
        models.append(
            {**entry, **({"label": label} if label else {}), **({"train": train} if train else {})}
        )
    try:
        result = planned(json.dumps({"datasets": ["parity", "adding"], "models": models}))
    except SuiteError as error:
        messages = {problem.message.partition(" of ")[0] for problem in error.problems}
        assume(messages != {"duplicate"})
        raise
    for dataset in ("parity", "adding"):
        names = [case.label for case in result.cases if case.dataset.name == dataset]
        assert len(set(names)) == len(names)
    assert len({case.id for case in result.cases}) == len(result.cases)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_suites_expand(path: Any) -> None:
    result = make_plan(load_suite(path, registry=REGISTRY), REGISTRY).on({"cpu": ""})
    assert len(result.trials) == {"quick": 18}.get(path.stem, 12)


def test_the_control_trains_the_same_networks_with_equal_settings() -> None:
    study, control = (
        make_plan(load_suite(ROOT / "suites" / f"{name}.yaml", registry=REGISTRY), REGISTRY)
        for name in ("fashion-2020", "fashion-2020-control")
    )
    for ours, theirs in zip(control.cases, study.cases, strict=True):
        assert (ours.label, ours.model, ours.dataset) == (
            theirs.label,
            theirs.model,
            theirs.dataset,
        )
        assert ours.train == control.cases[0].train
        without = {"optimizer": 0, "clip_norm": 0}
        assert {**ours.train, **without} == {**theirs.train, **without}
    assert len({json.dumps(case.train) for case in control.cases}) == 1
    assert control.cases[0].train["optimizer"] == study.cases[1].train["optimizer"]


@pytest.mark.parametrize(
    ("key", "default", "other", "words"),
    [
        ("precision", "fp32", "bf16", "bf16"),
        ("drop_last", "false", "true", "incomplete last batches left out"),
        ("batches", "bucketed", "one_length", "batches of one length"),
        ("batches", "bucketed", "shuffled", "batches of any lengths"),
    ],
)
def test_a_later_training_key_is_part_of_a_case_and_its_default_keeps_the_id(
    key: str, default: str, other: str, words: str
) -> None:
    text = """
        name: half
        datasets: [parity]
        models: [{{rnn: {{hidden_size: 4}}, train: {{{}}}}}]
        """
    plain, usual, changed = (
        planned(text.format(train)).cases[0]
        for train in ("", f"{key}: {default}", f"{key}: {other}")
    )
    assert plain.id == usual.id != changed.id
    assert key not in plain.train
    assert key in changed.train
    assert words not in training_words(plain.train)
    assert training_words(changed.train).endswith(words)


def test_the_order_of_groups_decides_and_is_part_of_a_case() -> None:
    """The first pattern that matches counts."""
    bias, head = "'*bias*': {weight_decay: 0}", "'head.*': {lr: 1e-4}"
    one, other = planned(
        f"""
        name: order
        datasets: [parity]
        models:
          - {{rnn: {{hidden_size: 4}}, train: {{groups: {{{bias}, {head}}}}}}}
          - {{rnn: {{hidden_size: 4}}, train: {{groups: {{{head}, {bias}}}}}}}
        """
    ).cases
    assert one.id != other.id
    assert one.label.startswith('rnn groups={"*bias*": {"weight_decay"')
    assert other.label.startswith('rnn groups={"head.*": {"lr"')
    words = training_words(one.train)
    assert words.endswith("*bias*: weight_decay=0.0, head.*: lr=0.0001")
    earlier = {**one.train, "groups": dict(one.train["groups"])}  # as plans once held them
    assert training_words(earlier) == words


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys, seqbench.plan.expand, seqbench.suite.json_schema\n"
        "assert not {'torch', 'numpy', 'scipy', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestSchema:
    SCHEMA = json_schema(REGISTRY)

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_the_shipped_suites_are_valid(self, path: Any) -> None:
        assert fits(read_suite(path).root.plain(), self.SCHEMA, self.SCHEMA)

    @pytest.mark.parametrize(
        "tree",
        [
            {"model": []}, {"models": ["rn"]}, {"models": [{"rnn": {"hidden_size": "x"}}]},
            {"models": [{"rnn": {"size": 1}}]}, {"models": [{"rnn": {}, "lable": "x"}]},
            {"seeds": True}, {"seeds": 0}, {"devices": ["gpu"]}, {"measure": ["speed"]},
            {"train": {"optimizer": {"adam": {"lr": "x"}}}}, {"train": {"schedule": "one_cycle"}},
            {"train": {"epochs": 0}}, {"limits": {"time": "5x"}}, {"include": 5}, {"name": "../x"},
        ],
        ids=str,
    )  # fmt: skip
    def test_invalid_trees_are_refused(self, tree: dict[str, Any]) -> None:
        assert not fits(tree, self.SCHEMA, self.SCHEMA)

    def test_every_parameter_is_there_with_its_default(self) -> None:
        model = self.SCHEMA["$defs"]["model:seqbench:rnn"]
        assert set(model["properties"]) == set(MODELS[0].parameters)
        assert model["properties"]["hidden_size"]["default"] == 128

    @pytest.mark.parametrize(
        ("given", "valid"),
        [([5], True), (5, True), ({"only": [5]}, True), ({"only": 5}, True), ({"only": []}, False),
         ({"onyl": [5]}, False), ("5", False), ("as_data", True), ([5, "as_data"], True),
         ({"only": "as_data"}, True), ({"only": ["as_data", "all"]}, False)],
    )  # fmt: skip
    def test_lengths(self, given: Any, valid: bool) -> None:
        lengths = self.SCHEMA["$defs"]["Latency"]["properties"]["seq_lens"]
        assert fits(given, lengths, self.SCHEMA) == valid

    def test_every_key_is_described(self) -> None:
        assert all(
            "description" in key or "$ref" in key for key in self.SCHEMA["properties"].values()
        )
        json.dumps(self.SCHEMA, allow_nan=False)


TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is valid, for the keywords of JSON Schema that ours uses."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if not all(fits(value, one, root) for one in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(fits(value, one, root) for one in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(
        isinstance(value, TYPES[kind]) and not (isinstance(value, bool) and kind != "boolean")
        for kind in kinds
    ):
        return False
    if isinstance(value, dict):
        return fits_mapping(value, schema, root)
    if isinstance(value, list):
        items = all(fits(item, schema.get("items", {}), root) for item in value)
        return items and len(value) >= schema.get("minItems", 0)
    if isinstance(value, str):
        import re

        return bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        return bool(low <= value <= high)
    return True


def fits_mapping(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    known = all(
        fits(item, properties.get(key, others), root)
        if key in properties or isinstance(others, dict)
        else others
        for key, item in value.items()
    )
    sizes = schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", 99)
    return known and sizes and set(schema.get("required", ())) <= set(value)
