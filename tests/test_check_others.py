"""`seqbench check` of metrics, reports and runtimes: every planted bug is caught, and once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install

from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.context import local_workspace
from seqbench.summary.schema import check_document
from seqbench.testing import conformance
from seqbench.testing.plugin_checks.documents import documents
from seqbench.testing.plugin_checks.job import CheckPayload, check_payload, subject_and_checks
from seqbench.testing.plugin_checks.results import CheckResult, check_results

#: Each planted bug with what it declares, the only check that must not pass, and its message.
METRICS = {
    "MeanOfBatches": ({}, "batches", "sum in `update`, divide in `compute`"),
    "CountsAlongTheSplit": ({}, "order", "in another order"),
    "Random": ({}, "repeatable", "it is random, or an object keeps what another one counted"),
    "Shared": ({}, "repeatable", "after another model was scored"),
    "Missing": ({}, "number", "Missing is nan, which is not a finite number"),
    "Vector": ({}, "number", "Vector is a Tensor of shape (3,), which is not a finite number"),
    "Percent": ({"share": True}, "number", "a number from 0 to 1 (share=True)"),
    "Reseeds": ({}, "globals", "changed: the state of torch's random"),
    "SetsVariable": ({}, "globals", "changed: environment variable SEQBENCH_TEST_BUG"),
    "Errors": ({}, "direction", "perfect answers give 0 and random ones 0."),
    "LowestRecall": ({}, "classes", "no number if a class has no test sequence: "),
    "Accuracy": ({"share": True}, "", ""),
    "TwoClasses": ({}, "", ""),
}  # fmt: skip
REPORTS = {
    "needs_a_figure": ("txt", "text", "TypeError: 'NoneType' object is not subscriptable"),
    "needs_a_case": ("txt", "text", "IndexError"),
    "returns_bytes": ("txt", "text", "returned bytes instead of text"),
    "sorts_the_document": ("txt", "document", "changed: cases"),
    "raw_labels": ("txt", "escapes", r"control characters: '\x1b', '\u202e'"),
    "raw_labels_without_controls": ("md", "escapes", "<script> as HTML; in Markdown, write"),
    "raw_labels_without_controls html": ("html", "escapes", "<script> as HTML"),
    "raw_labels_without_controls tex": ("tex", "escapes", r"\input as a command of LaTeX"),
    "raw_labels_without_controls csv": ("csv", "escapes", "a cell that starts with '='"),
    "raw_labels json": ("json", "escapes", "invalid JSON"),
    "with_a_random_number": ("txt", "repeatable", "two reports of one document differ"),
    "moves": ("txt", "globals", "environment variable SEQBENCH_TEST_BUG"),
    "correct": ("html", "", ""),
    "raw_labels_without_controls txt": ("txt", "", ""),
}
RUNTIMES = {
    "doubles": ("answer", "the answer differs"),
    "repeats": ("answer", "the answer differs"),
    "arrays": ("answer", "the answer is ndarray, not a tensor"),
    "overwrites": ("input", "they were changed in place"),
    "more_threads": ("globals", "changed: torch.get_num_threads()"),
    "no_call": ("prepare", "call is NoneType, which is not callable"),
    "same": ("", ""),
}
LOSSES = {
    "row_loss": ("", ""),
    "mean_loss": ("loss", "the loss returned a tensor of shape (), not the loss of each row"),
    "batch_loss": ("rows", "another one for the first 7 rows without the others"),
    "rising_loss": ("falls", " at first, "),
}
OPTIMIZERS = {
    "Sign": ("", ""),
    "Forgetful": ("state", "state_dict() does not hold all state"),
    "OnlyMatrices": ("step", "those of shape (8,) are as before"),
    "one_rate": ("groups", "lr: [0.01]"),
    "no_optimizer": ("step", "returned list, not a torch.optim.Optimizer"),
}
SCHEDULES = {
    "Trapezoid": ("", ""),
    "Bare": ("warmup", "warmup needs a torch.optim.lr_scheduler.LRScheduler"),
    "Negative": ("rates", "finite learning rates from 0 on"),
    "no_schedule": ("rates", "returned NoneType, which has no step()"),
}


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as `seqbench check` does
    monkeypatch.delenv("SEQBENCH_TEST_BUG", raising=False)
    yield
    torch.set_num_threads(threads)


def found(kind: str, name: str, params: Any = None, **declared: Any) -> list[CheckResult]:
    """The checks that did not pass; skipped ones follow from them."""
    choice = Choice(name, params or {}, f"buggy_others:{name}", "none", "0")
    subject, checks = subject_and_checks(
        CheckPayload(kind, choice, **declared), local_workspace(Path())
    )
    results = list(check_results(checks[1:], subject))
    return [one for one in results if one.result not in ("ok", "skipped")]


def expect(results: list[CheckResult], check: str, message: str) -> None:
    assert [one.check for one in results] == ([check] if check else []), results
    assert all(message in f"{one.expected} {one.got} {one.note}" for one in results), results


@pytest.mark.parametrize("name", METRICS)
def test_a_bug_of_a_metric_is_caught_once(name: str) -> None:
    declared, check, message = METRICS[name]
    expect(found("metric", name, targets=("label",), **declared), check, message)


@pytest.mark.parametrize("name", REPORTS)
def test_a_bug_of_a_report_is_caught_once(name: str) -> None:
    suffix, check, message = REPORTS[name]
    expect(found("report", name.partition(" ")[0], suffix=suffix), check, message)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_bug_of_a_runtime_is_caught_once(name: str) -> None:
    expect(found("runtime", name), *RUNTIMES[name])


@pytest.mark.parametrize("name", LOSSES)
def test_a_bug_of_a_loss_is_caught_once(name: str) -> None:
    check, message = LOSSES[name]
    expect(found("loss", name, targets=("label",)), check, message)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_bug_of_an_optimizer_is_caught_once(name: str) -> None:
    params = {} if name == "no_optimizer" else {"lr": 0.01}
    expect(found("optimizer", name, params), *OPTIMIZERS[name])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_bug_of_a_schedule_is_caught_once(name: str) -> None:
    expect(found("schedule", name, {"warmup": 0}), *SCHEDULES[name])


def test_a_schedule_that_begins_again_does_not_continue() -> None:
    results = found("schedule", "Restarting", {"warmup": 0})
    assert [one.check for one in results] == ["state", "warmup"]


def test_the_documents_for_reports_are_valid() -> None:
    assert all(check_document(document) for document in documents().values())


@pytest.mark.parametrize("name", ["cross_entropy", "top_k", "mae", "markdown", "csv", "latex"])
def test_what_is_built_in_passes(name: str) -> None:
    payload = check_payload(load_plugins().offer(name), {})
    subject, checks = subject_and_checks(payload, local_workspace(Path()))
    results = list(check_results(checks[1:], subject))
    assert {one.result for one in results} == {"ok"}, results


TWINS = """
    import seqbench

    SEQBENCH_API = 3

    @seqbench.hookimpl
    def seqbench_metrics():
        return [seqbench.MetricSpec("twin", build="twins:Metric", targets=["value"])]

    @seqbench.hookimpl
    def seqbench_reports():
        return [seqbench.ReportSpec("twin", render="twins:render", parameters={"word": "x"})]

    class Metric:
        def __init__(self, task):
            self.total = 0.0
        def update(self, answers, targets):
            self.total -= float((answers - targets).abs().sum())
        def compute(self):
            return self.total

    def render(document, word):
        return word * len(document["cases"])
    """


@pytest.mark.slow
def test_the_command_checks_every_kind_and_names_it(
    site: Path, seqbench_program: Callable[..., Any]
) -> None:
    install(site, "twins", {"twins": TWINS}, "twins = twins")
    metric = seqbench_program("check", "twin")
    assert metric.returncode == 0, metric.stdout
    assert metric.stderr.startswith("metric twin, twins 1.0")
    assert "8 passed" in metric.stdout
    report = seqbench_program("check", "twin", "--kind", "report", "--param", "word=y")
    assert report.returncode == 0, report.stdout
    assert report.stderr.startswith("report twin, twins 1.0")
    assert "6 passed" in report.stdout
    wrong = seqbench_program("check", "twin", "--kind", "model")
    assert (wrong.returncode, "unknown model 'twin'" in wrong.stderr) == (2, True)
    for kind, count in (("metric", 8), ("report", 6)):
        test = conformance("twin", kind=kind)
        (mark,) = test.pytestmark  # type: ignore[attr-defined]
        assert len(mark.args[1]) == count


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("seqbench check mark", ["markdown"]),
        ("seqbench check to", ["top_k"]),
        ("seqbench check --kind r", ["report", "runtime"]),
        ("seqbench new me", ["metric"]),
    ],
)
def test_names_and_kinds_are_completed(
    words: str, expected: list[str], seqbench_program: Callable[..., Any]
) -> None:
    asked = {"_SEQBENCH_COMPLETE": "bash_complete", "COMP_WORDS": words}
    done = seqbench_program(env={**os.environ, **asked, "COMP_CWORD": str(words.count(" "))})
    assert done.stdout.split() == [f"plain,{name}" for name in expected]
