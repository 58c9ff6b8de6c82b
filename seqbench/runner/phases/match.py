"""Solves the widths of models that are to have one size, once their datasets are prepared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from seqbench.executors.base import Executor, Job, Outcome
from seqbench.machine.limits import usable_memory
from seqbench.measure.payloads import MatchPayload
from seqbench.plan.cases import Case
from seqbench.plan.expand import Plan
from seqbench.plan.matching import (
    NEAR,
    Found,
    matching_key,
    open_cases,
    sides_of,
    with_widths,
    words_of,
)
from seqbench.runner.context import Progress, RunContext, local_workspace, reason_with_limit
from seqbench.runner.phases.prepare import Datasets, do_with_datasets
from seqbench.store.run_folder import RunFolder
from seqbench.store.stored_plan import StoredPlan
from seqbench.training.data import is_prepared, prepared_file

#: Time limit in seconds for solving the width of one case.
MATCH_LIMIT = 600.0


def match_widths(run: RunContext) -> Plan:
    """The run's plan with the width of each case that is to have a size, as far as its dataset is
    prepared. Cases that share model and dataset are solved once.
    """
    datasets = Datasets.of(run)
    first: dict[str, Case] = {}
    for case in open_cases(run.plan):
        if is_prepared(case.dataset, run.workspace.cache) and not datasets.misfit(case):
            first.setdefault(matching_key(case), case)
    jobs = [_job(key, case, run) for key, case in first.items()]
    timed = any(case.matching and case.matching.quantity == "latency" for case in first.values())
    groups = [[job] for job in jobs] if timed else [jobs]  # nothing runs beside what is timed
    found = {
        outcome.job.id.removeprefix("match-"): _found(outcome, run)
        for some in groups
        for outcome in do_with_datasets(run, "match", some)
    }
    return with_widths(run.plan, found)


def match_and_store(run: RunContext) -> RunContext:
    """The run with the widths of its cases, which are stored in its folder. Warns of cases that
    come near their size only.
    """
    if not open_cases(run.plan):
        return run
    solved = dataclasses.replace(run, plan=match_widths(run))
    run.folder.update_plan(solved.plan.to_dict())
    matched = {case.name: case.matching for case in solved.plan.cases if case.matching}
    for name, matching in matched.items():
        if matching.found and matching.found.best:
            run.folder.log(f"{name}: {words_of(matching)}")
    for line in deviations(solved.plan):
        run.warn(line)
    return solved


def known_widths(plan: Plan, before: StoredPlan, *, retry_failed: bool) -> Plan:
    """The plan with the widths that an earlier attempt at its run has found.

    Args:
        retry_failed: whether those that failed are left to be solved again.
    """
    found = {}
    for case in before["cases"]:
        stored = case.get("matching")
        if stored is None or stored["found"] is None:
            continue
        one = Found.of(stored["found"])
        if one.status in ("ok", "skipped") or not retry_failed:
            found[stored["key"]] = one
    return with_widths(plan, found)


def preview_widths(plan: Plan, *, out: Path, executor: Executor, progress: Progress) -> Plan:
    """The plan with those widths that a run would find, as far as datasets are prepared already.
    Creates and changes no files.

    Args:
        out: folder of all runs.
    """
    workspace = local_workspace(out / plan.suite.name / "new")
    ready = (is_prepared(case.dataset, workspace.cache) for case in open_cases(plan))
    if not any(ready):
        return plan
    run = RunContext(
        plan=plan,
        folder=RunFolder(workspace.run),
        executor=executor,
        progress=progress,
        workspace=workspace,
        environment={},
    )
    return match_widths(run)


def deviations(plan: Plan) -> Iterator[str]:
    """One line for each case that comes near its size only."""
    seen = set()
    for case in plan.cases:
        matching = case.matching
        if matching is None or matching.found is None or (key := matching_key(case)) in seen:
            continue
        seen.add(key)
        if abs(matching.deviation) > NEAR:
            yield f"{case.name}: {words_of(matching)}: {sides_of(matching)}"


def _job(key: str, case: Case, run: RunContext) -> Job:
    matching = case.matching
    assert matching is not None
    limit = run.plan.suite.limits.memory
    available = usable_memory() if limit is None else min(limit, usable_memory())
    payload = MatchPayload(
        case.model,
        prepared_file(case.dataset),
        parameter=matching.parameter,
        quantity=matching.quantity,
        wanted=matching.wanted,
        start=matching.start,
        lowest=matching.lowest,
        highest=matching.highest,
        most_bytes=available // 2,  # training needs as much again, for gradients
    )
    return Job(
        f"match-{key}",
        case.name,
        "seqbench.measure.match:solve_width",
        payload,
        group=case.id,
        limit=MATCH_LIMIT,
        memory=limit,
    )


def _found(outcome: Outcome, run: RunContext) -> Found:
    if outcome.status == "ok":
        return Found.of(outcome.result)
    return Found(status=outcome.status, reason=reason_with_limit(outcome, run))
