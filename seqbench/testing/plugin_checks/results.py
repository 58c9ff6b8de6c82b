"""What a check found: plain data, so that it can come from another process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from seqbench.errors import reason_of

#: ``no``: something that a plugin may do and this one does not.
Result = Literal["ok", "failed", "skipped", "no"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        check: its name. asks: what it asks for, in a few words.
        expected, came, example: for one that failed, what was expected, what came instead, and the
            smallest input found that does it.
        note: for the others, what there is to say.
    """

    check: str
    asks: str
    result: Result
    expected: str = ""
    came: str = ""
    example: str = ""
    note: str = ""


class Violation(Exception):
    """Raised by a check that fails."""

    def __init__(self, expected: str, came: str, example: str = ""):
        self.expected, self.came, self.example = expected, came, example
        super().__init__(f"expected {expected}; {came}" + f" (with {example})" * bool(example))


class Skipped(Exception):
    """Raised by a check that does not concern this plugin; the text says why."""


class No(Exception):
    """Raised by a check of what is not required; the text says what is not possible."""


@dataclass(frozen=True)
class Check:
    """One thing that is asked of a plugin.

    Args:
        run: takes what is examined; returns a remark, or raises one of the exceptions above.
        needed: where this one fails, those after it are skipped.
    """

    name: str
    asks: str
    run: Callable[[Any], str | None]
    needed: bool = False

    def __call__(self, subject: Any) -> CheckResult:
        """Runs it; whatever the plugin's own code raises is a failure, too."""
        try:
            note = self.run(subject) or ""
        except Violation as error:
            return CheckResult(
                self.name, self.asks, "failed", error.expected, error.came, error.example
            )
        except Skipped as error:
            return CheckResult(self.name, self.asks, "skipped", note=str(error))
        except No as error:
            return CheckResult(self.name, self.asks, "no", note=str(error))
        except Exception as error:
            return CheckResult(self.name, self.asks, "failed", "no error", reason_of(error))
        return CheckResult(self.name, self.asks, "ok", note=note)


def check_results(
    checks: Iterable[Check], subject: Any, tell: Callable[[str], None] = lambda name: None
) -> Iterator[CheckResult]:
    """Runs one check after the other; ``tell`` is given the name of each before."""
    lacking = ""
    for check in checks:
        if lacking:
            yield CheckResult(check.name, check.asks, "skipped", note=f"`{lacking}` failed")
            continue
        tell(check.name)
        found = check(subject)
        if check.needed and found.result == "failed":
            lacking = check.name
        yield found
