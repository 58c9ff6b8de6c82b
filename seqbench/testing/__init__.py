"""The checks of ``seqbench check`` for a plugin's own tests: two lines for pytest.

::

    from seqbench.testing import conformance
    test_mine = conformance("mine")
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seqbench.plugins.discovery import load_plugins
from seqbench.testing.plugin_checks.job import (
    check_payload,
    subject_and_checks,
)
from seqbench.testing.plugin_checks.results import (
    Check,
    FailedChecks,
    Skipped,
    Violation,
    Warned,
)


def conformance(
    name: str,
    /,
    *,
    kind: str = "",
    device: str = "cpu",
    params: Mapping[str, Any] | None = None,
    **more: Any,
) -> Callable[..., None]:
    """Create a test function for pytest, with one test for each check of ``seqbench check NAME``.

    Like ``seqbench check``, the tests use one CPU thread.

    Args:
        name: the model, dataset, …, by its name in suites; its package must be installed.
        kind: ``"model"``, ``"dataset"``, …, if several kinds have that name.
        device: the device to check a model or runtime on.
        params: parameters that differ from their defaults.
        **more: the same by keyword, for those that are not called ``kind``, ``device`` or
            ``params``.

    Raises:
        UnknownName: no working plugin offers the name.
        UsageError: unknown parameter, or invalid value.
        DeviceError: the device is not available.
    """
    import pytest

    from seqbench.runner.context import local_workspace
    from seqbench.testing.plugin_checks.threads import CheckThreads

    registry = load_plugins()
    offer = registry.look_up(kind, name) if kind else registry.offer(name)
    payload = check_payload(offer, {**(params or {}), **more}, device)
    subject, checks = subject_and_checks(payload, local_workspace(Path()))
    threads, failed = CheckThreads(), FailedChecks()

    @pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])
    def test(check: Check) -> None:
        if reason := failed.reason_to_skip(check):
            pytest.skip(reason)
        try:
            with threads.applied():
                _as_test(check, subject)
        except (Exception, pytest.fail.Exception):
            failed.add(check)
            raise

    return test


def _as_test(check: Check, subject: Any) -> None:
    """Run a check with its outcomes as those of pytest; errors of the plugin pass through."""
    import pytest

    try:
        check.function(subject)
    except Skipped as skipped:
        pytest.skip(str(skipped))
    except Warned as warned:
        warnings.warn(f"{check.name}: {warned}", stacklevel=2)
    except Violation as violation:
        pytest.fail(str(violation), pytrace=False)
