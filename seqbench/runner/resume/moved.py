"""Trials that run again, under new ids, because a package has moved or changed, or because
seqbench's protocol has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from seqbench.plan.cases import Case
from seqbench.plan.expand import Plan
from seqbench.plugins.choice import to_json
from seqbench.records import fingerprint
from seqbench.store.run_folder import RunFolder
from seqbench.store.stored_plan import StoredCase, StoredPlan

#: Why such a trial is run again.
MOVED = "something in it comes from a package that has moved or changed"

OUTDATED = "it was run with an earlier protocol of seqbench"

#: The parts of a case's id that describe the origin of a plugin's offer, as keys of JSON.
ORIGIN = ("target", "distribution", "version", "source")


def moved_trials(plan: Plan, before: StoredPlan) -> dict[str, str]:
    """The trials of ``plan`` whose model, dataset or training method had another origin in an
    earlier plan, or whenever that plan says so: their earlier ids, by their new ids.

    A trial is recognized by the labels of its case and dataset, its device and its seed.

    Args:
        before: the earlier plan.
    """
    return _recognized(plan, before, before.get("moved", {}), _has_moved)


def outdated_trials(plan: Plan, before: StoredPlan) -> dict[str, str]:
    """The trials of ``plan`` that an earlier plan has under other ids although nothing else has
    changed, so that the version of the protocol must have, or whenever that plan says so: their
    earlier ids, by their new ids.
    """
    return _recognized(plan, before, before.get("outdated", {}), _is_outdated)


def _recognized(
    plan: Plan,
    before: StoredPlan,
    known: Mapping[str, str],
    differs: Callable[[Case, StoredCase], bool],
) -> dict[str, str]:
    cases = {_name(case): case for case in before["cases"]}
    ids = {(one["case"], one["seed"]): one["id"] for one in before["trials"]}
    changed: dict[str, StoredCase] = {}
    for case in plan.cases:
        earlier = cases.get((case.label, case.dataset_label or case.dataset.name, case.device))
        if earlier is not None and earlier["id"] != case.id and differs(case, earlier):
            changed[case.id] = earlier
    found = dict(known)
    for trial in plan.trials:
        if trial.case.id in changed:
            same = ids.get((changed[trial.case.id]["id"], trial.seed))
            found |= {trial.id: same} if same else {}
    planned = {trial.id for trial in plan.trials}
    return {now: old for now, old in found.items() if now in planned}


def _name(case: StoredCase) -> tuple[str, str, str]:
    return case["label"], case.get("dataset_label") or case["dataset"]["name"], case["device"]


def _has_moved(case: Case, before: StoredCase) -> bool:
    """Whether a case differs from an earlier one in the origin of plugins alone."""
    return _same_settings(case, before) and not _same_origins(case, before)


def _is_outdated(case: Case, before: StoredCase) -> bool:
    """Whether a case, whose id differs from an earlier one's, differs in nothing that it names."""
    return _same_settings(case, before) and _same_origins(case, before)


def _same_settings(case: Case, before: StoredCase) -> bool:
    now = (to_json(case.model), to_json(case.dataset))
    earlier = (before["model"], before["dataset"])
    return _settings(now, case.train) == _settings(earlier, before["train"])


def _same_origins(case: Case, before: StoredCase) -> bool:
    now = (to_json(case.model), to_json(case.dataset))
    return _origins([*now, case.train]) == _origins(
        [before["model"], before["dataset"], before["train"]]
    )


def _settings(choices: Iterable[Mapping[str, Any]], train: Mapping[str, Any]) -> str:
    """A fingerprint of everything but the origins of what plugins provide."""
    return fingerprint(_without_origins([*choices, train]))


def _without_origins(value: Any) -> Any:
    if isinstance(value, Mapping):
        left_out = ORIGIN if ORIGIN[1] in value else ()
        return {k: _without_origins(v) for k, v in value.items() if k not in left_out}
    return [_without_origins(one) for one in value] if isinstance(value, (list, tuple)) else value


def _origins(value: Any) -> list[Any]:
    """The origins of all that plugins provide, also of the methods in training settings."""
    if isinstance(value, Mapping):
        own = [value.get(key, "") for key in ORIGIN] if ORIGIN[1] in value else []
        return [*own, *(found for one in value.values() for found in _origins(one))]
    inner = value if isinstance(value, (list, tuple)) else ()
    return [found for one in inner for found in _origins(one)]


def moved_line(folder: RunFolder, moved: int, recorded: int) -> str:
    """The warning about such trials."""
    return (
        f"{folder.path}: {moved} of its {recorded} trials used plugins from packages "
        "that have moved or changed since; they run again"
    )


def outdated_line(folder: RunFolder, outdated: int, recorded: int) -> str:
    """The warning about trials of an earlier protocol."""
    return (
        f"{folder.path}: {outdated} of its {recorded} trials were run with an earlier protocol of "
        "seqbench, so their figures are not comparable with new ones; they run again"
    )


def compare_weights(moved: Mapping[str, str], folder: RunFolder) -> Iterator[str]:
    """One line for each trial that has run again: whether its weights are the same as before.

    Args:
        moved: the results of :func:`moved_trials` and :func:`outdated_trials`.
    """
    for now, before in moved.items():
        paths = [folder.path / "trials" / f"{name}.json" for name in (now, before)]
        records = [folder.trial(path) for path in paths if path.exists()]
        digests = [one.weights_sha256 for one in records if one is not None and one.status == "ok"]
        if len(digests) == 2:
            same = "the same" if digests[0] == digests[1] else "not the same"
            yield f"{now}: weights are {same} as those of {before}"
