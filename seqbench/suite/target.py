"""The metric value to reach in training, such as ``accuracy >= 0.85``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from seqbench.quantities import deciding, find
from seqbench.suggest import suggested
from seqbench.suite.strict_yaml import described, shown

BLANKS = r"\s*"

NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,3})?"

WORDS = re.compile(r"([^\s<>=!≤≥]+)\s*([<>=!≤≥]+)\s*(.+)")

SIGNS = {metric.name: ">=" if metric.higher_is_better else "<=" for metric in deciding().values()}

#: The same for JSON Schema.
PATTERN = rf"^\s*({'|'.join(name + BLANKS + sign for name, sign in SIGNS.items())})\s*{NUMBER}\s*$"

FORM = "as in accuracy >= 0.85 or mse <= 0.01"


@dataclass(frozen=True)
class Target:
    """The bound of a metric that a training should reach."""

    metric: str
    value: float

    def __str__(self) -> str:
        return f"{self.metric} {SIGNS[self.metric]} {self.value:g}"

    @classmethod
    def parse(cls, given: object) -> Target:
        """Parse ``metric >= number``, or ``<=`` if lower is better.

        Raises:
            ValueError: with two arguments, message and hint.
        """
        words = WORDS.fullmatch(given.strip()) if isinstance(given, str) else None
        if words is None:
            raise ValueError(f"must be a metric and a bound, not {described(given)}", FORM)
        metric, sign, number = words.groups()
        if metric not in SIGNS:
            raise ValueError(suggested(f"unknown metric {shown(metric)}", metric, SIGNS), "")
        if not re.fullmatch(NUMBER, number):
            raise ValueError(f"the bound must be a number, not {shown(number)}", FORM)
        if sign != SIGNS[metric]:
            better = "higher" if find(metric).higher_is_better else "lower"
            raise ValueError(
                f"{metric} needs {SIGNS[metric]}, not {shown(sign)}: {better} is better",
                f"write {metric} {SIGNS[metric]} {number}",
            )
        return cls(metric, _checked(metric, float(number)))


def _checked(metric: str, value: float) -> float:
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"the bound of {metric} must be a number above 0", FORM)
    if find(metric).share and value > 1:
        raise ValueError(
            f"the bound of {metric} must be at most 1, not {value:g}",
            "a fraction: 0.85 means 85 %",
        )
    return value
