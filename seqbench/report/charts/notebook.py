"""A chart for a notebook."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt

from seqbench.report.charts.figure import chosen
from seqbench.report.charts.find import find_chart
from seqbench.report.columns.column import Document


def altair_chart(
    document: Document, kind: str, dataset: str | None, options: Mapping[str, str]
) -> alt.Chart:
    """The chart with its sentence as the title (see :meth:`seqbench.Run.chart`)."""
    chart, group = find_chart(document, kind, dataset)
    title = {"text": f"{chart.title}: {group.title}", "subtitle": chart.sentence}
    return alt.Chart.from_dict({**chosen(chart, options), "title": title})
