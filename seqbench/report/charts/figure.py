"""A chart as a figure for a paper: SVG, PNG or PDF, as wide as a column, without a browser."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from seqbench.errors import UsageError
from seqbench.report.charts.chart import Chart, Choice, Spec, changed
from seqbench.report.charts.source import Group
from seqbench.report.charts.theme import PAPER
from seqbench.report.names import by_gradient, repeats_of
from seqbench.report.notes import training_words
from seqbench.report.text import clean
from seqbench.suggest import suggested

Width = Literal["single", "double"]

#: Points of a column of a two-column paper, and of its full text width (IEEE and ACM differ by a
#: few points).
WIDTHS: Mapping[Width, int] = {"single": 240, "double": 500}

#: Height of the plotting area, as a fraction of the width of the figure.
HEIGHTS: Mapping[Width, float] = {"single": 0.62, "double": 0.42}

#: Points of a character of the title, on average.
CHARACTER = 4.3

#: Resolution of PNG files, in pixels per inch.
RESOLUTION = 300

#: Choices whose names are ids, so that people give the labels.
BY_LABEL = ("pair", "case")

SUFFIXES = (".svg", ".png", ".pdf")


def chosen(chart: Chart, options: Mapping[str, str]) -> Spec:
    """The specification with these choices, by name: ``{"x": "macs"}``.

    Raises:
        UsageError: the chart has no such choice or option.
    """
    known = {choice.name: choice for choice in chart.choices}
    spec = chart.spec
    for name, value in options.items():
        if name not in known:
            offered = f"available: {', '.join(known)}" if known else "this chart has none"
            raise UsageError(f"--option {clean(name)}: unknown option of {chart.kind}; {offered}")
        spec = changed(spec, known[name].changes[_number(known[name], value)])
    return spec


def _number(choice: Choice, value: str) -> int:
    names = [option.name for option in choice.options]
    labels = [option.label for option in choice.options]
    turned = [" and ".join(reversed(label.split(" and "))) for label in labels]
    for known in (names, labels, turned):
        if value in known:
            return known.index(value)
    unknown = f"--option {choice.name}={clean(value)}: unknown value"
    raise UsageError(suggested(unknown, value, labels if choice.name in BY_LABEL else names))


def figure_spec(
    chart: Chart, group: Group, *, options: Mapping[str, str], width: Width, title: bool
) -> Spec:
    """The whole specification of a figure: size, fonts, title with dataset and settings."""
    points = WIDTHS[width]
    spec = chosen(chart, options)
    height = spec.get("height")
    steps = height["step"] if isinstance(height, dict) else None
    if steps is not None:
        rows = len(_domain(spec, "y"))
        height = rows * min(steps, max(11.0, 0.7 * points / max(rows, 1)))
    spec = {
        **spec,
        "width": points,
        "height": height or HEIGHTS[width] * points,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": 2,
        "config": _config(width),
    }
    if title:
        settings = list(filter(None, [group.table.about, _settings(group)]))
        spec["title"] = {
            "text": f"{chart.title}: {group.dataset}",
            "subtitle": textwrap.wrap("; ".join(settings), int(points / CHARACTER)),
        }
    return spec


def _config(width: Width) -> dict[str, Any]:
    """Thin lines and small points; in a single column, legends stand below."""
    config = {**PAPER, "point": {"size": 22}, "line": {"strokeWidth": 1}}
    legend = {**PAPER["legend"], "symbolSize": 40, "rowPadding": 1}
    config["legend"] = {**legend, "orient": "bottom", "columns": 2} if width == "single" else legend
    return config


def _domain(spec: Spec, channel: str) -> list[Any]:
    """The values on a nominal axis."""
    layers = [spec, *spec.get("layer", ())]
    found = (layer.get("encoding", {}).get(channel, {}) for layer in layers)
    return next(
        (each["scale"]["domain"] for each in found if "domain" in each.get("scale", {})), []
    )


def _settings(group: Group) -> str:
    """Training, seeds and machine, as far as all cases share them."""
    words = {training_words(case["train"]) for case in by_gradient(group.cases) or group.cases}
    seeds = set(map(repeats_of, group.cases))
    parts = [words.pop() if len(words) == 1 else "training settings differ"]
    if len(seeds) == 1:
        parts.append(seeds.pop())
    devices = group.data.document["environment"].get("devices") or {}
    parts += list(dict.fromkeys(clean(name) for name in devices.values()))
    return "; ".join(parts)


def write_figure(spec: Spec, path: Path) -> bytes:
    """A figure in the format of the suffix of ``path``.

    Raises:
        UsageError: another suffix.
    """
    import vl_convert

    suffix = path.suffix.lower()
    if suffix == ".svg":
        svg: str = vl_convert.vegalite_to_svg(spec)
        return svg.encode()
    if suffix == ".png":
        png: bytes = vl_convert.vegalite_to_png(spec, ppi=RESOLUTION)
        return png
    if suffix == ".pdf":
        pdf: bytes = vl_convert.vegalite_to_pdf(spec)
        return pdf
    raise UsageError(f"--output {path}: name a file that ends in {', '.join(SUFFIXES)}")
