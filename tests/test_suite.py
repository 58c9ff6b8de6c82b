"""Suites: how they are read, and that every error names its line."""

from __future__ import annotations

import contextlib
import inspect
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from suite_registry import REGISTRY

from seqbench.errors import SuiteError
from seqbench.suite.keys import Suite
from seqbench.suite.optimizers import OPTIMIZERS, SCHEDULES
from seqbench.suite.validate import load_suite, parse_suite

MALFORMED = sorted((Path(__file__).parent / "suites" / "malformed").glob("*.yaml"))
#: The suites that need no other package.
SHIPPED = sorted(path for path in (ROOT / "suites").glob("*.yaml") if path.stem != "zoo")
TINY = "datasets: [parity]\nmodels: [rnn]\n"


def parse(text: str, *overrides: str) -> Suite:
    return parse_suite(text, overrides=overrides, registry=REGISTRY)


def problems(text: str, *overrides: str) -> str:
    with pytest.raises(SuiteError) as caught:
        parse(text, *overrides)
    return str(caught.value)


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_a_malformed_suite_is_refused_with_its_line(path: Path) -> None:
    expected = re.findall(r"^# expect: (\d+): (.*)$", path.read_text(encoding="utf-8"), re.M)
    assert expected
    with pytest.raises(SuiteError) as caught:
        load_suite(path, registry=REGISTRY)
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(expected), found
    for (line, fragment), text in zip(expected, found, strict=True):
        assert text.startswith(f"{path}:{line}:"), text
        assert fragment in text
        assert text.isprintable()


def test_there_are_enough_malformed_suites() -> None:
    assert len(MALFORMED) >= 32


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_suites_are_valid(path: Path) -> None:
    suite = load_suite(path, registry=REGISTRY)
    assert suite.name == path.stem


def test_defaults() -> None:
    suite = parse(TINY)
    assert suite.name == "suite"
    assert suite.seeds == (0, 1, 2)
    assert suite.devices == ("auto",)
    assert suite.limits.time == 3600.0
    assert suite.measure.latency is not None
    assert suite.measure.latency.model_dump() == {
        "budget": 10.0, "batch_sizes": (1, 64), "seq_lens": (), "threads": (1,),
        "runtimes": ("eager",), "processes": 10, "warm_up": 0.5, "precision": 0.02,
    }  # fmt: skip
    assert suite.measure.memory is not None
    assert suite.measure.memory.batch_size == 64
    assert suite.train_for(suite.models[0]) == {
        "epochs": 5,
        "batch_size": 100,
        "optimizer": {
            "name": "adam",
            "params": {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0,
                       "amsgrad": False},
        },
        "schedule": None,
        "clip_norm": None,
        "threads": 1,
    }  # fmt: skip


def test_the_example_of_the_documentation() -> None:
    suite = parse(
        """
        name: fashion
        datasets: [fashion_mnist]
        models:
          - rnn: {hidden_size: 100, num_layers: [1, 2], nonlinearity: relu}
          - lstm: {hidden_size: 100}
            train: {optimizer: {sgd: {lr: 1e-2, momentum: 0.9}}}
            label: LSTM with momentum
          - gru
        train: {epochs: 5, batch_size: 100, optimizer: {adam: {lr: 1e-3}}}
        seeds: 3
        devices: [auto]
        measure: [accuracy, latency, memory]
        limits: {time: 30m}
        """
    )
    rnn, lstm, gru = suite.models
    assert rnn.params["num_layers"] == [1, 2]
    assert lstm.label == "LSTM with momentum"
    assert suite.train_for(lstm)["optimizer"]["name"] == "sgd"
    assert suite.train_for(lstm)["optimizer"]["params"]["lr"] == 0.01
    assert suite.train_for(gru)["optimizer"]["name"] == "adam"
    assert suite.limits.time == 1800.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("+.5", 0.5), ("1.", 1.0), ("012", 12), ("-7", -7), ("true", True),
        ("False", False), ("~", None), ("", None), ("no", "no"), ("on", "on"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"), ("0o17", "0o17"), ("0x1f", "0x1f"), ("1_000", "1_000"),
        ("'5'", "5"), ("!!str 5", "5"), ("!!float 3", 3.0), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    from seqbench.suite.files import suite_from_text

    root, findings = suite_from_text(f"a: {text}", "a.yaml").tree()
    read = root.plain()["a"]
    assert not findings
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("10s", 10), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400), ("20", 20),
     ("0.25", 0.25), ("1m30s", 90), ("5 s", 5), ("1 h 30 m", 5400), ("500 ms", 0.5)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse(f"{TINY}limits: {{time: {text}}}").limits.time == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["8GiB", "8 GiB", "8gib", "8388608 KiB", "8589934592"])
def test_sizes(text: str) -> None:
    assert parse(f"{TINY}limits: {{memory: {text}}}").limits.memory == 8 * 2**30


@pytest.mark.parametrize("text", ["-1", "0", "1d", "m", "''", "3 0m", "5m1h", "true", "[1]", "1e9"])
def test_invalid_durations(text: str) -> None:
    assert "limits.time: must be" in problems(f"{TINY}limits: {{time: {text}}}")


def test_a_mapping_can_replace_a_list_of_names() -> None:
    suite = parse(
        "datasets: {parity: {length: 4}, adding: }\nmodels: {rnn: , lstm: {hidden_size: 8}}"
    )
    assert [entry.name for entry in suite.datasets] == ["parity", "adding"]
    assert suite.models[1].params == {"hidden_size": 8}


def test_measure_is_a_list_or_a_mapping() -> None:
    assert parse(f"{TINY}measure: [accuracy]").measure.latency is None
    suite = parse(f"{TINY}measure: {{latency: {{budget: 2, batch_sizes: [1]}}, memory: }}")
    assert suite.measure.latency is not None
    assert suite.measure.latency.batch_sizes == (1,)
    assert suite.measure.memory is not None


def test_a_distribution_can_stand_before_a_name() -> None:
    suite = parse("datasets: ['seqbench:parity']\nmodels: [{seqbench:rnn: {hidden_size: 3}}]")
    assert suite.models[0].name == "seqbench:rnn"


def test_overrides_of_a_model_are_merged_with_the_suites_settings() -> None:
    suite = parse(
        """
        datasets: [parity]
        train: {epochs: 7, optimizer: {SGD: {lr: 0.1, momentum: 0.5}}, schedule: cosine}
        models:
          - rnn:
            train: {optimizer: {sgd: {momentum: 0.9}}}
          - rnn:
            train: {optimizer: adamw, schedule: null, batch_size: 3}
        """
    )
    first, second = (suite.train_for(entry) for entry in suite.models)
    assert first["epochs"] == second["epochs"] == 7
    assert first["optimizer"]["params"]["lr"] == 0.1
    assert first["optimizer"]["params"]["momentum"] == 0.9
    assert first["schedule"] == {"name": "cosine", "params": {"eta_min": 0.0}}
    assert second["optimizer"]["name"] == "adamw"
    assert second["optimizer"]["params"]["lr"] == 0.001
    assert second["schedule"] is None


def test_a_conflict_that_only_the_merge_shows_is_found() -> None:
    text = """
datasets: [parity]
train: {optimizer: {sgd: {momentum: 0.9}}}
models:
  - rnn:
    train: {optimizer: {sgd: {nesterov: true, momentum: 0}}}
"""
    assert "suite.yaml:6:24: models.0.train.optimizer: nesterov needs" in problems(text)


def test_set_changes_mappings_lists_and_missing_keys() -> None:
    suite = parse(
        "datasets: [parity]\nmodels: [rnn, {lstm: {hidden_size: 8}}]",
        "train.epochs=2", "models.1.lstm.hidden_size=[16, 32]", "models.0=gru",
        "train.optimizer.sgd.lr=1e-2", "devices=[cuda:1]", "seeds=1",
    )  # fmt: skip
    assert suite.train.epochs == 2
    assert suite.models[0].name == "gru"
    assert suite.models[1].params == {"hidden_size": [16, 32]}
    assert suite.train.optimizer.name == "sgd"
    assert suite.devices == ("cuda:1",)
    assert suite.seeds == (0,)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=x", "--set train.epochs=x: train.epochs: must be a whole number, not text"),
        ("train.epoch=2", "did you mean 'epochs'"),
        ("models.3.x=2", "models is a list and has no item '3' (items are 0 to 0)"),
        ("models.rnn=2", "models is a list and has no item 'rnn'"),
        ("models.0.hidden_size=2", "models.0 is text 'rnn': it has no keys to set"),
        ("epochs", "not of the form KEY=VALUE"),
        ("=2", "not of the form KEY=VALUE"),
        (".".join("a" * 2000) + "=1", "not of the form KEY=VALUE"),
        ("notes=[1", "expected ',' or ']'"),
        ("notes=!!python/name:os.system x", "is not allowed"),
        ("notes=\x1b", "is not allowed"),
    ],
)
def test_an_invalid_override_is_named(override: str, message: str) -> None:
    text = problems(TINY, override)
    assert text.startswith("--set ") or "'--set" in text
    assert message in text
    assert text.isprintable()


class TestInclude:
    def write(self, folder: Path, **files: str) -> None:
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")

    def test_mappings_merge_and_the_rest_is_replaced(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            base="datasets: [parity]\nmodels: [rnn, lstm]\n"
            "train: {epochs: 3, batch_size: 7, optimizer: {sgd: {lr: 1}}, schedule: cosine}\n",
            over="include: base.yaml\nmodels: [gru]\n"
            "train: {epochs: 4, optimizer: {adam: {lr: 2}}, schedule: null}\n",
        )
        suite = load_suite(tmp_path / "over.yaml", registry=REGISTRY)
        assert [entry.name for entry in suite.models] == ["gru"]
        train = suite.train_for(suite.models[0])
        assert (train["epochs"], train["batch_size"], train["schedule"]) == (4, 7, None)
        assert train["optimizer"]["name"] == "adam"
        assert suite.name == "over"

    def test_one_optimizer_merges_with_itself(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            base=f"{TINY}train: {{optimizer: {{sgd: {{lr: 0.5}}}}}}",
            over="include: [base.yaml]\ntrain: {optimizer: {sgd: {momentum: 0.9}}}",
        )
        suite = load_suite(tmp_path / "over.yaml", registry=REGISTRY)
        params = suite.train_for(suite.models[0])["optimizer"]["params"]
        assert (params["lr"], params["momentum"]) == (0.5, 0.9)

    def test_a_problem_names_the_included_file(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            base="datasets: [parity]\nmodels: [rnn]\ntrain:\n  epoch: 3\n",
            over="include: base.yaml\nseeds: 0\n",
        )
        with pytest.raises(SuiteError) as caught:
            load_suite(tmp_path / "over.yaml", registry=REGISTRY)
        wheres = [problem.where for problem in caught.value.problems]
        assert wheres == [f"{tmp_path}/over.yaml:2:8", f"{tmp_path}/base.yaml:4:3"]

    def test_a_circular_include_is_refused(self, tmp_path: Path) -> None:
        self.write(tmp_path, a="include: b.yaml", b="include: c.yaml", c="\ninclude: a.yaml")
        with pytest.raises(SuiteError, match=r"c\.yaml:2:10: .*a\.yaml' includes itself"):
            load_suite(tmp_path / "a.yaml", registry=REGISTRY)

    def test_a_file_included_in_many_ways_is_read_once(self, tmp_path: Path) -> None:
        levels = {f"f{n}": f"include: [f{n + 1}.yaml, f{n + 1}.yaml]" for n in range(30)}
        self.write(tmp_path, **levels, f30=TINY)
        assert load_suite(tmp_path / "f0.yaml", registry=REGISTRY).models

    def test_a_long_chain_is_refused(self, tmp_path: Path) -> None:
        self.write(tmp_path, **{f"f{n}": f"include: f{n + 1}.yaml" for n in range(60)})
        with pytest.raises(SuiteError, match="more than 50 files"):
            load_suite(tmp_path / "f0.yaml", registry=REGISTRY)

    @pytest.mark.parametrize("name", [".", "x" * 5000, '"a\\0b"', "/dev/zero"])
    def test_invalid_includes(self, tmp_path: Path, name: str) -> None:
        self.write(tmp_path, a=f"include: {name}")
        with pytest.raises(SuiteError, match=r"a\.yaml:1:10"):
            load_suite(tmp_path / "a.yaml", registry=REGISTRY)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"notes: a\xff", ":1:9: the file is not UTF-8 text"),
        ("notes: ä".encode("utf-16"), "the file is not UTF-8 text"),
        (b"a: 1\nb: \0", ":2:4: the file contains a NUL byte"),
        (b"a: 1\nb: \x07", ":2:4: the character '\\x07' is not allowed"),
        (b"", "the file is empty"),
        (b"a: " + b"x" * 300_000, "is larger than 256 KiB"),
        (b'a: "\\UFFFFFFFF"', "invalid YAML"),
        (b'notes: "\\ud800"', "is not valid Unicode"),
    ],
)
def test_files_that_are_not_text(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(data)
    with pytest.raises(SuiteError) as caught:
        load_suite(path, registry=REGISTRY)
    assert message in str(caught.value)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TINY.encode())
    assert load_suite(path, registry=REGISTRY).name == "marked"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SuiteError, match=r"cannot read|is not a file"):
            load_suite(path, registry=REGISTRY)


def test_a_file_name_that_is_not_a_valid_suite_name(tmp_path: Path) -> None:
    path = tmp_path / "_my suite (1).yaml"
    path.write_text(TINY, encoding="utf-8")
    assert load_suite(path, registry=REGISTRY).name == "my-suite-1-"


def test_at_most_twenty_problems_are_shown() -> None:
    text = problems(TINY + "\n".join(f"key{number}: 1" for number in range(100)))
    assert len(text.splitlines()) == 21
    assert text.endswith("and 80 more problems below")


def test_long_values_are_cut() -> None:
    for line in (
        f"train: {{epochs: {'x' * 5000}}}",
        f"{'k' * 900}: 1",
        f"devices: [{'d' * 5000}]",
        f"train: {{optimizer: {'o' * 5000}}}",
    ):
        assert max(map(len, problems(f"{TINY}{line}\n").splitlines())) < 330
    for text in (f"[{'m' * 5000}]", f"[rnn: {{nonlinearity: {'n' * 5000}}}]"):
        assert len(problems(f"datasets: [parity]\nmodels: {text}")) < 330


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000, "{" * 100_000, "? " * 100_000, "&a " * 50_000]
)
def test_hostile_nesting_is_refused_at_once(text: str) -> None:
    start = time.monotonic()
    problems(text)
    assert time.monotonic() - start < 2


def test_many_entries_are_compared_quickly() -> None:
    entries = "\n".join(f"  - rnn: {{hidden_size: {number}}}" for number in range(1, 1001))
    start = time.monotonic()
    assert len(parse(f"datasets: [parity]\nmodels:\n{entries}").models) == 1000
    assert time.monotonic() - start < 10


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_arbitrary_text_raises_nothing_else(text: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse(text)
    assert all(str(problem).isprintable() for problem in caught.value.problems)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["rnn", "parity", "adam", "cosine", "10s", "cpu", "accuracy"])
)  # fmt: skip
KEYS = st.text(max_size=3) | st.sampled_from(
    ["rnn", "train", "label", "reference", "accuracy", "hidden_size", "parity", "length", "epochs",
     "optimizer", "adam", "lr", "betas", "schedule", "one_cycle", "latency", "budget", "time"]
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda t: st.lists(t, max_size=4) | st.dictionaries(KEYS, t, max_size=4), max_leaves=20
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(Suite.model_fields, TREES)), TREES)
@settings(max_examples=200, deadline=None)
def test_arbitrary_trees_raise_nothing_else(tree: dict[str, Any], value: Any) -> None:
    override = f"train.optimizer={yaml.safe_dump(value, default_flow_style=True)}"
    for overrides in ((), (override,)):
        text = yaml.safe_dump({**yaml.safe_load(TINY), **tree})
        with contextlib.suppress(SuiteError):
            suite = parse(text, *overrides)
            assert all(suite.train_for(entry) for entry in suite.models)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizers_are_torchs_own(name: str) -> None:
    import torch

    by_name = {key.lower(): key for key in dir(torch.optim)}
    theirs = inspect.signature(getattr(torch.optim, by_name[name])).parameters
    own = ("others", "exclude")  # seqbench's, of muon
    ours = {key: p for key, p in OPTIMIZERS[name].parameters.items() if key not in own}
    defaults = {key: theirs[key].default for key in ours}
    if name == "muon":
        assert defaults["adjust_lr_fn"] is None  # which torch takes for "original"
        defaults["adjust_lr_fn"] = "original"
    assert {key: param.default for key, param in ours.items()} == defaults
    switches = {"params", "foreach", "fused", "capturable", "differentiable", "maximize"}
    if name == "adam":
        switches.add("decoupled_weight_decay")  # newer than the oldest torch; adamw has it
    if name == "adafactor":
        switches.add("eps")  # a pair of which one is None
    assert set(theirs) - set(ours) == switches & set(theirs)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("cosine", "CosineAnnealingLR"), ("one_cycle", "OneCycleLR"), ("step", "StepLR"),
     ("exponential", "ExponentialLR"), ("polynomial", "PolynomialLR"),
     ("cosine_restarts", "CosineAnnealingWarmRestarts"), ("multi_step", "MultiStepLR"),
     ("plateau", "ReduceLROnPlateau")],
)  # fmt: skip
def test_the_schedules_are_torchs_own(name: str, theirs: str) -> None:
    import torch

    signature = inspect.signature(getattr(torch.optim.lr_scheduler, theirs)).parameters
    kind = SCHEDULES[name]
    for key, param in kind.parameters.items():
        if key in kind.required:
            assert signature[key].default is inspect.Parameter.empty
        elif key not in ("cycle_momentum", "warmup"):  # the first would change the momentum
            assert signature[key].default == param.default
