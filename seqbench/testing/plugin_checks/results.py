"""Checks and their results; results are plain data, so that a worker can send them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from seqbench.errors import reason_of

#: ``warning``: passed, with a remark that its author should read. ``no``: an optional check that
#: failed.
Result = Literal["ok", "warning", "failed", "skipped", "no"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        check: its name. asks: what it requires, in a few words.
        expected, got, example: if it failed, what was expected, what it got, and the smallest input
            found that fails.
        note: a remark, or the reason for ``warning``, ``skipped`` or ``no``.
        optional: whether the plugin need not pass it.
    """

    check: str
    asks: str
    result: Result
    expected: str = ""
    got: str = ""
    example: str = ""
    note: str = ""
    optional: bool = False


class Violation(Exception):
    """Raised by a check that fails."""

    def __init__(self, expected: str, got: str, example: str = ""):
        self.expected, self.got, self.example = expected, got, example
        at = f" (with {example})" if example else ""
        super().__init__(f"expected: {expected}; got: {got}{at}")


class Skipped(Exception):
    """Raised by a check that does not apply to this plugin; the text is the reason."""


class Warned(Exception):
    """Raised by a check that passes with a warning; the text is what its author should know."""


class No(Exception):
    """Raised by an optional check that fails; the text is the reason."""


@dataclass(frozen=True)
class Check:
    """One property that a plugin must have.

    Args:
        function: takes what is checked; returns a remark, or raises one of the exceptions above.
        needed: whether all later checks are skipped if this one fails.
        after: names of checks that this one presupposes: it is skipped if one of them failed, so
            that one cause gives one failure.
        optional: whether a plugin need not pass it.
    """

    name: str
    asks: str
    function: Callable[[Any], str | None]
    needed: bool = False
    after: tuple[str, ...] = ()
    optional: bool = False

    def __call__(self, subject: Any) -> CheckResult:
        """Run the check; any error of the plugin's own code is a failure, too."""
        return replace(self._result(subject), optional=self.optional)

    def _result(self, subject: Any) -> CheckResult:
        try:
            note = self.function(subject) or ""
        except Violation as error:
            return CheckResult(
                self.name,
                self.asks,
                "failed",
                expected=error.expected,
                got=error.got,
                example=error.example,
            )
        except Skipped as error:
            return CheckResult(self.name, self.asks, "skipped", note=str(error))
        except Warned as error:
            return CheckResult(self.name, self.asks, "warning", note=str(error))
        except No as error:
            return CheckResult(self.name, self.asks, "no", note=str(error))
        except Exception as error:
            reason = reason_of(error)
            return CheckResult(self.name, self.asks, "failed", expected="no error", got=reason)
        return CheckResult(self.name, self.asks, "ok", note=note)


class FailedChecks:
    """The checks that failed so far."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def add(self, check: Check) -> None:
        self._checks.append(check)

    def reason_to_skip(self, check: Check) -> str:
        """Which failed check ``check`` presupposes, in words; "" if none."""
        for failed in self._checks:
            if failed.needed or failed.name in check.after:
                return f"`{failed.name}` failed"
        return ""


def check_results(
    checks: Iterable[Check], subject: Any, notify: Callable[[str], None] = lambda name: None
) -> Iterator[CheckResult]:
    """Run checks in order; ``notify`` is called with the name of each before it runs."""
    failed = FailedChecks()
    for check in checks:
        if reason := failed.reason_to_skip(check):
            yield CheckResult(
                check.name, check.asks, "skipped", note=reason, optional=check.optional
            )
            continue
        notify(check.name)
        result = check(subject)
        if result.result == "failed":
            failed.add(check)
        yield result
