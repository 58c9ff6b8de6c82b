"""Metrics and reports of plugins: figures worked out by hand, and runs with good and bad ones."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install

from seqbench import MetricSpec, ReportSpec, Task
from seqbench.errors import PluginError
from seqbench.measure.metrics import score_split
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.training.split import Split

MORE = """
    import seqbench

    SEQBENCH_API = 2

    @seqbench.hookimpl
    def seqbench_metrics():
        return [seqbench.MetricSpec(name, build=f"more_meters:{name}", **about) for name, about in (
            ("ones", {"share": True}), ("raises", {}), ("leaves", {}), ("writes", {}), ("nan", {}),
            ("text", {}),
            ("nothing", {}), ("numbers", {"targets": ["value"]}),
        )]

    @seqbench.hookimpl
    def seqbench_reports():
        return [seqbench.ReportSpec("winner", "more_reports:winner", {"word": "wins"}, suffix="md"),
                seqbench.ReportSpec("sick", "more_reports:sick"),
                seqbench.ReportSpec("number", "more_reports:number")]
    """
METERS = """
    import sys

    class Meter:
        def __init__(self, task): self.hits, self.n = 0, 0
        def update(self, answers, targets):
            self.hits += int((answers.argmax(-1) == 1).sum())
            self.n += len(targets)
        def compute(self): return self.hits / self.n
    ones = Meter
    class raises(Meter):
        def update(self, answers, targets): raise RuntimeError("not today")
    class leaves(Meter):
        def compute(self): sys.exit("gone")
    class writes(Meter):
        def update(self, answers, targets): answers.fill_(-1); targets.fill_(0)
        def compute(self): return 7
    class nan(Meter):
        def compute(self): return float("nan")
    class text(Meter):
        def compute(self): return "0.25"
    def nothing(task): return None
    def numbers(task): return Meter(task)
    """
REPORTS = """
    def winner(document, word):
        document["trials"].clear()  # nobody else's
        return f"{document['cases'][0]['label']} {word}\\n"
    def sick(document): raise KeyError("no such thing")
    def number(document): return 3
    """
SUITE = """
    name: small
    datasets: [{parity: {length: 3, train_size: 200, validation_size: 50, test_size: 60}}]
    models: [{gru: {hidden_size: [3, 4]}}]
    train: {epochs: 1, batch_size: 50}
    seeds: 2
    measure: [accuracy]
    """


@pytest.fixture
def more(site: Path) -> None:
    install(
        site, "more", {"more": MORE, "more_meters": METERS, "more_reports": REPORTS}, "more = more"
    )


def metric(name: str, **params: Any) -> Choice:
    """One that is installed."""
    return Choice.of(load_plugins().look_up("metric", name), params)


class Fixed(torch.nn.Module):
    """Answers what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1]


class EachStep(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def scored(answers: list[Any], targets: list[Any], kind: str, asked: Choice) -> float:
    """Of answers that are given: (n, outputs), or (n, time, outputs) for steps."""
    given, wanted = torch.tensor(answers), torch.tensor(targets)
    steps = kind == "label_per_step"
    inputs = given if steps else given[:, None]
    task = Task("features", given.shape[-1], kind, given.shape[-1], inputs.shape[1])  # type: ignore[arg-type]
    model = EachStep() if steps else Fixed()
    split = Split(task, inputs, wanted)
    found = score_split(model, split, device=torch.device("cpu"), choice=asked).value
    assert torch.equal(inputs, given if steps else given[:, None])
    return found


def test_cross_entropy_and_top_k_are_what_one_works_out_by_hand() -> None:
    answers = [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    bottom = math.log(math.exp(2) + math.e + 1)
    expected = pytest.approx((bottom - 2 + bottom - 1) / 2)
    assert scored(answers, [0, 1], "label", metric("cross_entropy")) == expected
    for k, right, share in ((2, [0, 1], 1.0), (1, [0, 1], 0.5), (9, [0, 0], 1.0)):
        assert scored(answers, right, "label", metric("top_k", k=k)) == share
    tied = [[0.0] * 5] * 3  # the first ones count
    assert scored(tied, [0, 1, 2], "label", metric("top_k", k=2)) == pytest.approx(2 / 3)


def test_each_step_is_a_row() -> None:
    answers = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]]
    assert scored(answers, [[0, 1], [1, 0]], "label_per_step", metric("top_k", k=1)) == 0.75


def test_mean_absolute_error() -> None:
    found = scored([[1.0], [2.0], [3.0]], [[1.5], [2.0], [1.0]], "value", metric("mae"))
    assert found == pytest.approx(2.5 / 3)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nan", "nan is nan, which is not a finite number"),
        ("text", "text is '0.25', which is not a finite number"),
        ("nothing", "returned NoneType, which has no method update"),
    ],
)
def test_what_is_no_metric_is_refused(more: None, name: str, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        scored([[0.0, 1.0]], [0], "label", metric(name))


def test_a_run_with_metrics_and_reports(
    more: None, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    """Their figures stand in every output, one that fails is a line, both can be asked later."""
    suite = write_suite(SUITE)
    assert seqbench_cli("run", suite).returncode == 0
    asked = "metrics: [writes, ones, {top_k: {k: [1, 2]}}, raises, leaves, numbers]\n"
    suite.write_text(f"{suite.read_text()}\n{asked}reports: [winner, sick, number, markdown]\n")
    done = seqbench_cli("run", suite, "--resume")
    assert done.returncode == 1  # one metric failed
    assert "4 of 4 trials already done" in done.stderr  # and are not trained again
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    for case in document["cases"]:
        assert case["scores"]["top_k k=1"]["mean"] == case["metric"]["mean"]
        assert case["scores"]["top_k k=2"]["mean"] == 1.0
        assert 0 <= case["scores"]["ones"]["low"] <= 1 or case["scores"]["ones"]["low"] < 0
        assert case["status"] == "failed"
        assert [one["status"] for one in case["unmeasured"]] == ["failed", "failed", "skipped"]
    pairs = [each for each in document["comparisons"] if each["quantity"] == "ones"]
    assert [each["n"] for each in pairs] == [2]
    assert all(trial["scores"]["top_k k=2"] == 1.0 for trial in document["trials"])
    shown = done.stdout
    assert re.search(r"test top_k", shown)
    assert "all: measuring raises: failed: RuntimeError: not today" in shown
    assert "measuring leaves: failed: SystemExit: gone" in shown
    assert "supports value, not label" in shown
    assert "score_top_k k=1_low" in seqbench_cli("show", "--format", "csv").stdout
    assert "report 'sick' of more 1.0: KeyError" in done.stderr
    assert "returned int instead of text" in done.stderr
    (folder,) = (tmp_path / "results").rglob("reports")
    assert {path.name for path in folder.iterdir()} == {"winner.md", "markdown.md"}
    assert (folder / "winner.md").read_text() == "gru hidden_size=3 wins\n"
    assert (folder / "markdown.md").read_text() == seqbench_cli(
        "show", "--format", "markdown"
    ).stdout
    again = seqbench_cli("run", suite, "--resume", "--dry-run").stdout
    assert "0 of 4 trials would run" in again
    assert "metrics: 0 of 28 would be computed" in again
    retried = seqbench_cli("run", suite, "--resume", "--retry-failed", "--dry-run").stdout
    assert "metrics: 8 of 28 would be computed" in retried


def test_wrong_metrics_and_reports_of_a_suite_are_said_with_their_lines(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    wrong = "\n    metrics: [top_kk, {top_k: {kk: 2}}, top_k, top_k]\n    reports: [markdwn]\n"
    done = seqbench_cli("validate", write_suite(SUITE + wrong))
    assert done.returncode == 2
    for expected in (
        "unknown metric 'top_kk'; did you mean 'top_k'?",
        "unknown parameter 'kk'",
        "duplicate of metrics.1.top_k",
        "unknown report 'markdwn'; did you mean 'markdown'?",
    ):
        assert expected in " ".join(done.stderr.split())
    shown = seqbench_cli("show", "--format", "markdwn")
    assert (shown.returncode, "did you mean 'markdown'?" in shown.stderr) == (2, True)


def test_what_there_is_can_be_listed(seqbench_cli: Callable[..., Any]) -> None:
    assert "top_k" in seqbench_cli("metrics").stdout
    assert "markdown" in seqbench_cli("reports").stdout


@pytest.mark.slow
def test_a_metric_that_kills_its_process_costs_the_trial_nothing(
    site: Path, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    deadly = METERS.replace('raise RuntimeError("not today")', "import os; os.abort()")
    install(site, "more", {"more": MORE, "more_meters": deadly, "more_reports": REPORTS},
            "more = more")  # fmt: skip
    suite = write_suite(SUITE + "\n    metrics: [raises]\n")
    done = seqbench_cli("run", suite, "--seeds", "1")
    assert done.returncode == 1
    assert "measuring raises: crashed: the process was killed by SIGABRT" in done.stdout
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    assert {trial["status"] for trial in document["trials"]} == {"ok"}
    assert all(case["accuracy"] for case in document["cases"])


@pytest.mark.parametrize("name", ["latency", "accuracy", "a b"])
def test_a_metric_cannot_take_the_name_of_a_quantity(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MetricSpec(name, build="a:b")


def test_what_a_declaration_says_is_checked() -> None:
    with pytest.raises(ValueError, match="unknown target 'classes'"):
        MetricSpec("m", build="a:b", targets=["classes"])
    with pytest.raises(ValueError, match=r"invalid suffix '\.md'"):
        ReportSpec("r", render="a:b", suffix=".md")
