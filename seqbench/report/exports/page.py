"""Export as a page: verdict, tables and charts in one HTML file."""

from __future__ import annotations

import importlib.util

from seqbench.errors import MissingExtra
from seqbench.report.columns.column import Document

#: The packages of the extra ``report``.
PACKAGES = ("altair", "vl_convert", "jinja2")


def to_page(document: Document) -> str:
    """The page of a run (:mod:`seqbench.report.page`).

    Raises:
        MissingExtra: a package of the extra ``report`` is missing.
    """
    return page_of_runs([document])


def page_of_runs(documents: list[Document]) -> str:
    """The page of several runs, or of one. Raises MissingExtra."""
    require_packages("the page")
    from seqbench.report.charts.source import read_source
    from seqbench.report.page.content import page_of
    from seqbench.report.page.render import render

    return render(page_of([read_source(document) for document in documents]))


def require_packages(what: str) -> None:
    """Raise MissingExtra if a package of the extra ``report`` is missing."""
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(what, "report", ImportError(name=name))
