"""What `run --dry-run` prints: the plan of a suite, or what resuming a run would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from rich.table import Table

    from seqbench.plan.expand import Plan
    from seqbench.runner.forecast.before_run import Forecast
    from seqbench.runner.preview import Preview
    from seqbench.runner.resume.decide_measurements import Missing
    from seqbench.runner.resume.earlier import Resume
    from seqbench.suite.files import SuiteFile
    from seqbench.suite.selection import Selection


def previewed(
    suite: SuiteFile, selection: Selection, resume: Resume, *, out: Path, jobs: int | None
) -> Preview:
    """What resuming a run would do; shows progress while torch loads."""
    from seqbench.display.progress import Display
    from seqbench.executors.registry import make_executor
    from seqbench.runner.preview import preview

    with Display(console(stderr=True)) as display:
        executor = make_executor(cores=jobs)
        return preview(suite, selection, resume, display.progress(), out=out, executor=executor)


def forecasted(plan: Plan, *, out: Path, jobs: int | None) -> tuple[Plan, Forecast]:
    """The plan with the widths that can be solved by now, and how long a new run of it will take;
    shows progress if widths are solved, or speeds are measured.

    Args:
        out: folder of all runs.
        jobs: maximum number of busy CPU cores; None: all.
    """
    from seqbench.display.progress import Display
    from seqbench.executors.registry import make_executor
    from seqbench.runner.forecast.before_run import forecast_plan
    from seqbench.runner.phases.match import preview_widths

    with Display(console(stderr=True)) as display:
        executor, progress = make_executor(cores=jobs), display.progress()
        plan = preview_widths(plan, out=out, executor=executor, progress=progress)
        return plan, forecast_plan(plan, out=out, executor=executor, progress=progress)


def print_preview(found: Preview) -> None:
    """Which trials would run, each with the reason, and what would be measured."""
    from rich.cells import cell_len

    from seqbench.cli.estimate import forecast_words
    from seqbench.report.text import clean, counted

    click.echo(f"{found.resumed}\n")
    decisions, skipped = found.decisions, found.skipped
    titles = [clean(f"{one.trial.case.name}, seed {one.trial.seed}") for one in decisions]
    width = max(map(cell_len, titles), default=0)
    # Plain lines: laying out a table of ten thousand rows takes longer than deciding them.
    for one, title in zip(decisions, titles, strict=True):
        what = "keep" if one.record is not None else "run "
        what, why = ("skip", skipped[one.trial.id]) if one.trial.id in skipped else (what, one.why)
        click.echo(f"{title}{' ' * (width - cell_len(title))}  {what}  {clean(why)}")
    runs = sum(one.record is None for one in decisions) - len(skipped)
    memory, latency = found.memory, found.latency
    click.echo(f"\n{runs} of {counted(len(decisions), 'trial')} would run")
    click.echo(f"cost and memory: {len(memory.missing)} of {memory.requested} would be measured")
    if found.scores_requested:
        click.echo(f"metrics: {found.scores} of {found.scores_requested} would be computed")
    if latency.requested:
        _print_contests(latency.missing)
    if runs and any(one.why for one in (*memory.missing, *latency.missing)):
        click.echo("(a model that is retrained to the same weights is not measured again)")
    click.echo(forecast_words(found.forecast))
    print_warnings(found.warnings)
    click.echo("nothing was run")


def _print_contests(missing: Sequence[Missing]) -> None:
    from seqbench.report.text import clean

    terminal = console()
    for one in missing:
        line = clean(f"latency, would run: {one.activity.title}")
        terminal.print(line, markup=False, soft_wrap=not terminal.is_terminal)
    if not missing:
        click.echo("latency: nothing would be timed")


def planned(suite: SuiteFile, selection: Selection) -> Plan:
    """The plan of a suite, using all installed plugins."""
    from seqbench.plan.of_suite import plan_suite
    from seqbench.plugins.discovery import load_plugins

    return plan_suite(suite, selection, load_plugins())


def plan_size(plan: Plan) -> str:
    """``4 cases, 12 trials``."""
    from seqbench.report.text import counted

    return f"{counted(len(plan.cases), 'case')}, {counted(len(plan.trials), 'trial')}"


def print_plan(plan: Plan, found: Forecast, warnings: Sequence[str]) -> None:
    """Every case with its training and seeds, what would be measured, and how long that takes.

    Args:
        warnings: what to know before starting, one line each.
    """
    from rich.text import Text

    from seqbench.cli.estimate import forecast_words

    terminal = console()
    terminal.print(_case_table(plan))
    for line in (*_match_lines(plan), *_measure_lines(plan), *_other_lines(plan)):
        terminal.print(Text(line))
    for line in skipped_lines(plan):
        terminal.print(Text(line))
    terminal.print(Text(forecast_words(found)))
    print_warnings(warnings)
    terminal.print(Text(f"\n{plan_size(plan)}; nothing was run"))


def print_warnings(warnings: Sequence[str]) -> None:
    """Print what to know before starting, between the plan and its last line."""
    from rich.text import Text

    from seqbench.report.terminal.style import WARNING
    from seqbench.report.text import clean

    terminal = console()
    for line in warnings:
        text = Text.assemble(("warning:", WARNING), " ", clean(line))
        terminal.print(text, soft_wrap=not terminal.is_terminal)


def skipped_cases(plan: Plan) -> dict[str, str]:
    """Why cases will be skipped, by id, as far as known before the run. Imports no torch."""
    from seqbench.training.data import cache_dir, read_prepared

    cache = cache_dir()
    found = {
        case.id: case.misfit(read_prepared(case.dataset, cache)) or case.no_width
        for case in plan.cases
    }
    return {case: reason for case, reason in found.items() if reason}


def skipped_lines(plan: Plan) -> list[str]:
    """One line for each case that will be skipped."""
    from seqbench.report.text import clean

    reasons = skipped_cases(plan)
    names = {case.id: case.name for case in plan.cases}
    lines = [f"{names[case]} is skipped: {reason}" for case, reason in reasons.items()]
    for metric in plan.metrics:
        for case in plan.cases:
            if metric.id in case.metrics_left_out:
                continue
            targets = {kind.partition("/")[2] for kind in case.declares}
            if targets and targets.isdisjoint(metric.targets):
                lines.append(
                    f"metric {metric.label} is skipped on {case.dataset_label}: it supports "
                    f"{', '.join(metric.targets)}, not {' or '.join(sorted(targets))}"
                )
    return [clean(line) for line in dict.fromkeys(lines)]


def _case_table(plan: Plan) -> Table:
    from rich.table import Table
    from rich.text import Text

    from seqbench.report.notes import training_words

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in ("case", "dataset", "device", "training", "seeds"):
        table.add_column(header, overflow="fold")
    seeds: dict[str, list[str]] = {}
    for trial in plan.trials:
        seeds.setdefault(trial.case.id, []).append(str(trial.seed))
    for case in plan.cases:
        training = training_words(case.train)
        cells = (case.label, case.dataset_label, case.device, training, ", ".join(seeds[case.id]))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _metric_words(plan: Plan) -> Iterator[str]:
    """The label of each metric, and the datasets that it is computed on unless it is on all."""
    for metric in plan.metrics:
        on = [case for case in plan.cases if metric.id not in case.metrics_left_out]
        datasets = dict.fromkeys(case.dataset_label for case in on)
        everywhere = len(on) == len(plan.cases)
        yield metric.label if everywhere else f"{metric.label} (on {', '.join(datasets)})"


def _match_lines(plan: Plan) -> Iterator[str]:
    """The size that models are to have, and for which cases the width is known by now."""
    from seqbench.plan.matching import open_cases, words_of

    matched = {case.id: case.matching for case in plan.cases if case.matching}
    if not matched:
        return
    first = next(iter(matched.values()))
    yield f"match: {first.quantity} {first.wanted:,}"
    for case in plan.cases:
        if case.matching is None:
            yield f"  {case.name}: not matched"
        elif case.matching.found and case.matching.found.best:
            yield f"  {case.name}: {words_of(case.matching)}"
    if waiting := open_cases(plan):
        names = ", ".join(dict.fromkeys(case.name for case in waiting))
        yield f"  to be solved once the data are prepared: {names}"


def _measure_lines(plan: Plan) -> Iterator[str]:
    from seqbench.cli.estimate import latency_words, training_time_words

    measure = plan.suite.measure
    if measure.latency is not None:
        yield f"latency: {latency_words(measure.latency)}"
    if measure.training is not None:
        yield f"training steps: {training_time_words(measure.training)}"
    if measure.memory is not None:
        yield f"memory: batch {measure.memory.batch_size}"


def _resample_lines(plan: Plan) -> Iterator[str]:
    """Which datasets are pooled as one row for each model."""
    datasets: dict[str, dict[str, None]] = {}
    for case in plan.cases:
        if case.resample is not None:
            names = datasets.setdefault(case.resample.dataset_label, {})
            names[str(case.dataset.params[case.resample.parameter])] = None
    if datasets:
        words = [f"{name} (seeds {', '.join(values)})" for name, values in datasets.items()]
        yield f"pooled resamples: {'; '.join(words)}; latency, memory and cost of the first"


def _other_lines(plan: Plan) -> Iterator[str]:
    from seqbench.report.numbers import duration

    if plan.metrics:
        yield f"metrics: {', '.join(_metric_words(plan))}"
    if plan.reports:
        yield f"reports: {', '.join(report.file for report in plan.reports)}"
    yield from _resample_lines(plan)
    if plan.suite.target:
        yield f"target: {plan.suite.target}"
    limits = plan.suite.limits
    memory = f"{limits.memory / 2**20:,.0f} MiB" if limits.memory else "90 % of the machine's"
    retries = "1 retry" if limits.retries == 1 else f"{limits.retries} retries"
    yield (
        f"limits of a trial: {duration(limits.time)}, memory {memory}, "
        f"{retries} if killed by a signal"
    )
    keep = plan.suite.keep
    if keep != type(keep)():
        weights = {"best": "those of the best trial of each case"}.get(keep.weights, keep.weights)
        yield f"kept if everything succeeds: weights: {weights}; samples: {keep.samples}"
        size = f"{keep.answers / 1e6:,.6g} MB" if isinstance(keep.answers, int) else keep.answers
        yield f"test answers kept: {size}"
