"""Documents for tests, built without running anything."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from rich.cells import cell_len
from rich.console import Console
from suite_registry import REGISTRY

from seqbench.plan.expand import make_plan
from seqbench.records import Comparison, Status, TrialRecord
from seqbench.report.columns.column import Column
from seqbench.report.columns.table import result_tables
from seqbench.report.terminal.report import Options, print_report
from seqbench.report.terminal.sheets import print_view
from seqbench.report.views.pairs import pairs_view
from seqbench.store.stored_plan import StoredPlan
from seqbench.suite.validate import parse_suite
from seqbench.summary.document import build_document
from seqbench.summary.schema import Document

#: rnn is far below lstm and gru, which are close. With 8 seeds, 3 pairs can be distinguished if all
#: differences have the same sign.
FIGURES = {
    "rnn": [0.80 + 0.001 * n for n in range(8)],
    "lstm": [0.90 + 0.002 * n for n in range(8)],
    "gru": [0.90 + 0.002 * n + 0.001 * (-1) ** n for n in range(8)],
}
TINY = """
    datasets: [adding, parity]
    models: [rnn, lstm, gru]
    """


def made(
    figures: dict[str, list[float]],
    *,
    text: str = TINY,
    dataset: str = "parity",
    diverged: tuple[str, ...] = (),
    untrained: tuple[str, ...] = (),
    comparisons: Callable[[list[str]], list[Comparison]] = lambda ids: [],
    of_trial: Callable[[str, int], dict[str, Any]] = lambda label, seed: {},
    **metrics: Any,
) -> Document:
    """The document of a run of that suite on one dataset, with these figures by label or model.

    Args:
        diverged: the models whose seed 0 diverged; untrained: those of which every seed did.
        of_trial: further metrics of a trial, by label and seed; metrics: of all.
    """
    suite = parse_suite(textwrap.dedent(text), registry=REGISTRY)
    seeds = max((len(some) for some in figures.values()), default=0)
    suite = suite.model_copy(update={"seeds": tuple(range(seeds))})
    planned = make_plan(suite, REGISTRY, datasets=[dataset]).on({"cpu": ""})
    trials = []
    for trial in planned.trials:
        case = trial.case
        own = figures.get(case.label) or figures[case.model.name]
        value = own[trial.seed]
        status: Status = "diverged" if trial.case.label in diverged and trial.seed == 0 else "ok"
        found: Any = {"value": value, "last": value, "best": value, **metrics}
        found |= of_trial(trial.case.label, trial.seed)
        primary = case.primary_metric
        metric = primary.label if primary else "mse" if dataset == "adding" else "accuracy"
        if trial.case.label in untrained:
            status, found, metric = "diverged", {}, ""
        about = primary.about if primary else None
        ended = TrialRecord(trial.id, trial.case.id, trial.seed, status, "", metric, found)
        trials.append(replace(ended, metric_about=cast("Any", about)))
    return build_document(
        "results/x",
        state={"suite": "x", "status": "finished"},
        plan=cast("StoredPlan", planned.to_dict()),
        environment={},
        trials=trials,
        cases=[],
        comparisons=comparisons([case.id for case in planned.cases]),
    )


def print_everything(document: Document, console: Console) -> None:
    """All rows and columns in the order of the suite, and all explanations."""
    print_report(document, console, Options("suite", every=True, explain=True))


def shown(document: Document, width: int = 80, of: Callable[..., None] = print_everything) -> str:
    file = io.StringIO()
    of(document, console=Console(file=file, width=width, highlight=False))
    text = file.getvalue()
    assert max(cell_len(line) for line in text.splitlines()) <= width
    return text


def column(document: Document, field: str) -> Column:
    return next(c for c in result_tables(document)[0].columns if c.field == field)


def print_pairs(document: Document, console: Console) -> None:
    print_view(pairs_view(document), console)
