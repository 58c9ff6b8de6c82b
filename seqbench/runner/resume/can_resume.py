"""Whether a run can be resumed here, and with which options."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from seqbench.errors import UsageError
from seqbench.plan.expand import Plan
from seqbench.store.run_folder import RunFolder
from seqbench.suite.selection import LISTS, Selection, override_key
from seqbench.workers.variables import DEVICES

#: What must not change when a run is resumed: figures of two machines are never mixed.
MACHINE = (
    "cpu", "cpu_capability", "cores", "torch", "seqbench", "allocator", "variables",
)  # fmt: skip

NONE = "(none)"


def check_resumable(
    folder: RunFolder, plan: Plan, selection: Selection, environment: Mapping[str, Any]
) -> None:
    """Check that a run can be resumed: it is a run of the same suite, on the same machine.

    Raises:
        UsageError: it cannot.
    """
    state = folder.state()
    if state.get("suite") != plan.suite.name:
        raise UsageError(
            f"{folder.path} is a run of {state.get('suite')!r}, not of {plan.suite.name!r}"
        )
    chosen = folder.selection()
    if chosen is not None:
        _check_selection(folder, Selection.of(chosen), selection)
    before = folder.environment()
    devices = (before.get("devices") or {}, environment["devices"])
    for device in sorted({case.device for case in plan.cases}):
        earlier, now = (each.get(device) for each in devices)
        if earlier is not None and now is not None and earlier != now:
            raise UsageError(
                f"{folder.path} was run with {earlier} as {device}, now with {now}: resume it "
                "where it was started, or start a new run"
            )
    for name in MACHINE:
        if name not in before:
            continue
        changed = list(_differences(name, before[name], environment.get(name)))
        if changed:
            raise UsageError(
                f"{folder.path} was run with {'; '.join(changed)}: resume it as it was started, "
                "or start a new run"
            )


def _differences(name: str, before: Any, now: Any) -> Iterator[str]:
    """``cores 4, now with 2``; one for each variable that differs."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        if before != now:
            yield f"{name.replace('_', ' ')} {before}, now with {now}"
        return
    for one in sorted({*before, *now} - set(DEVICES)):
        if before.get(one) != now.get(one):
            yield f"{one} {before.get(one, 'unset')}, now with {now.get(one, 'unset')}"


def _check_selection(folder: RunFolder, before: Selection, now: Selection) -> None:
    for name in ("models", "datasets"):
        given, option = getattr(before, name), LISTS[name]
        if sorted(given) != sorted(getattr(now, name)):
            how = f"with {option} {', '.join(given)}" if given else f"without {option}"
            raise UsageError(f"{folder.path} was run {how}: omit {option} to resume it")
    sets = [" ".join(o for o in each.overrides if _affects_figures(o)) for each in (before, now)]
    if sets[0] != sets[1]:
        warnings.warn(
            f"{folder.path} was last run with --set {sets[0] or NONE}, now with {sets[1] or NONE}: "
            "affected trials and measurements are run again",
            stacklevel=2,
        )


def _affects_figures(override: str) -> bool:
    """Whether an override changes more than limits and which files are kept."""
    return override_key(override).partition(".")[0] not in ("limits", "keep")


def as_before(selection: Selection, folder: RunFolder) -> Selection:
    """The selection now, completed with the earlier one; overrides are merged key by key."""
    before = Selection.of(folder.selection())
    now = {override_key(override) for override in selection.overrides}
    kept = [override for override in before.overrides if override_key(override) not in now]
    return Selection(
        overrides=(*kept, *selection.overrides),
        models=selection.models or before.models,
        datasets=selection.datasets or before.datasets,
        devices=selection.devices or before.devices,
        seeds=before.seeds if selection.seeds is None else selection.seeds,
        allow_many=before.allow_many or selection.allow_many,
    )
