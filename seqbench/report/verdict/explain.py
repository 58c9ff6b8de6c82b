"""What the sentences of the verdict rest on, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from seqbench.quantities import find
from seqbench.report.columns.column import Document
from seqbench.stats.power import POWER


def explain_verdict(document: Document) -> Iterator[str]:
    """One line for each expression that the verdict may use."""
    found = document.get("comparisons") or ()
    if not found:
        return
    yield (
        "is best: better than every other case, with p below 0.05 after the correction; leads: the "
        "best figure, but at least one case may be as good."
    )
    yield (
        "not distinguishable: chance alone could explain the difference. That does not mean equal: "
        "equivalent means within the suite's margin."
    )
    if any(find(each["quantity"]).compared == "seeds" for each in found):
        yield (
            "typically 2× the error: ratio of geometric means over the seeds, which one bad seed "
            "influences less than the means in the table."
        )
        yield (
            f"with N seeds or resamples: the test would find a difference like the observed one in "
            f"{100 * POWER:.0f} % of cases; estimated from few seeds, it was enough in half."
        )
    yield "how each figure is measured: docs/measuring.md"
