"""Export as a page: verdict, tables and charts in one HTML file."""

from __future__ import annotations

from seqbench.plugins.extras import REPORT, require
from seqbench.report.columns.column import Document


def to_page(document: Document) -> str:
    """The page of a run (:mod:`seqbench.report.page`).

    Raises:
        MissingExtra: a package of the extra ``report`` is missing.
    """
    return page_of_runs([document])


def page_of_runs(documents: list[Document]) -> str:
    """The page of several runs, or of one. Raises MissingExtra."""
    require("the page", "report", REPORT)
    from seqbench.report.charts.source import read_run
    from seqbench.report.page.content import page_of
    from seqbench.report.page.render import render

    return render(page_of([read_run(document) for document in documents]))
