"""The metric value to reach in training, such as ``accuracy >= 0.85``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from seqbench.quantities import Quantity, find, own_metrics
from seqbench.suite.strict_yaml import described, shown

BLANKS = r"\s*"

NUMBER = r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,3})?"

#: Of the metrics of plugins some are negative, such as R² and log-likelihoods.
ANY_NUMBER = f"-?{NUMBER}"

WORDS = re.compile(r"([^\s<>=!≤≥]+)\s*([<>=!≤≥]+)\s*(.+)")

#: Of the tasks' own metrics.
SIGNS = {own.name: ">=" if own.higher_is_better else "<=" for own in own_metrics().values()}

#: Of the metrics of plugins, whose direction is known to the plugin.
OTHER = rf"(?!(?:{'|'.join(SIGNS)})\b)[A-Za-z0-9][A-Za-z0-9_.:-]*\s*[<>]="

#: A target for JSON Schema.
PATTERN = (
    rf"^\s*(?:(?:{'|'.join(name + BLANKS + sign for name, sign in SIGNS.items())})\s*{NUMBER}"
    rf"|{OTHER}\s*{ANY_NUMBER})\s*$"
)

FORM = "as in accuracy >= 0.85 or mse <= 0.01"


@dataclass(frozen=True)
class Target:
    """The bound of a metric that a training should reach.

    Args:
        sign: ``>=`` or ``<=``.
    """

    metric: str
    value: float
    sign: str

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.value:g}"

    def to_dict(self) -> dict[str, Any]:
        """As in ``plan.json``, which has no sign where every version knows it."""
        sign = {} if self.metric in SIGNS else {"sign": self.sign}
        return {"metric": self.metric, "value": self.value, **sign}

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
        if not re.fullmatch(ANY_NUMBER, number):
            raise ValueError(f"the bound must be a number, not {shown(number)}", FORM)
        found = cls(metric, float(number), sign)
        if metric in SIGNS:
            found.check(find(metric))
        return found

    def check(self, metric: Quantity) -> None:
        """Raise ValueError, with message and hint, if the bound does not fit its metric."""
        sign = ">=" if metric.higher_is_better else "<="
        if self.sign != sign:
            better = "higher" if metric.higher_is_better else "lower"
            raise ValueError(
                f"{self.metric} needs {sign}, not {shown(self.sign)}: {better} is better",
                f"write {self.metric} {sign} {self.value:g}",
            )
        known = self.metric in SIGNS or metric.share  # that it is never negative
        if not math.isfinite(self.value) or (known and self.value <= 0):
            above = "a number above 0" if known else "a finite number"
            raise ValueError(f"the bound of {self.metric} must be {above}", FORM)
        if metric.share and self.value > 1:
            raise ValueError(
                f"the bound of {self.metric} must be at most 1, not {self.value:g}",
                "a fraction: 0.85 means 85 %",
            )
