"""The reports shipped with seqbench.

To add one: a file in :mod:`seqbench.report.exports`, and its spec here.
"""

from __future__ import annotations

import seqbench

EXPORTS = "seqbench.report.exports"


@seqbench.hookimpl
def seqbench_reports() -> list[seqbench.ReportSpec]:
    return [
        seqbench.ReportSpec(
            "markdown", f"{EXPORTS}.markdown:to_markdown", suffix="md",
            description="The tables in Markdown",
        ),
        seqbench.ReportSpec(
            "csv", f"{EXPORTS}.csv:to_csv", suffix="csv",
            description="One row per case, in full precision and SI units",
        ),
        seqbench.ReportSpec(
            "latex", f"{EXPORTS}.latex:to_latex", suffix="tex",
            parameters={"intervals": False},
            description="The tables in LaTeX, with booktabs",
        ),
        seqbench.ReportSpec(
            "html", f"{EXPORTS}.page:to_page", suffix="html",
            description="Tables and charts as one page; needs seqbench[report]",
        ),
    ]  # fmt: skip
