"""Tests of a plugin for its own test suite: two lines for pytest.

::

    from seqbench.testing import conformance
    test_mine = conformance("mine")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqbench.plugins.discovery import load_plugins
from seqbench.testing.plugin_checks.job import (
    check_payload,
    local_workspace,
    subject_and_checks,
)
from seqbench.testing.plugin_checks.results import Check, Skipped, Violation


def conformance(name: str, *, device: str = "cpu", **params: Any) -> Callable[..., None]:
    """A test function for pytest: one test for each check of ``seqbench check NAME``.

    Args:
        name: of the model or dataset, as a suite calls it; its package must be installed.
        device: where a model is examined.
        params: those that are not to be the defaults.

    Raises:
        UnknownName: no working plugin offers it.
        UsageError: it has no such parameter, or the parameter does not take that value.
        DeviceError: the device is not there.
    """
    import pytest

    offer = load_plugins().offer(name)
    subject, checks = subject_and_checks(check_payload(offer, params, device), local_workspace())

    @pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])
    def test(check: Check) -> None:
        try:
            check.run(subject)
        except Skipped as reason:
            pytest.skip(str(reason))
        except Violation as violation:
            pytest.fail(str(violation), pytrace=False)

    return test
