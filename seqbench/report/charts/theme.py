"""How charts look on a light page, on a dark page and in a paper; colors, shapes and dashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Okabe and Ito's colors, which people with any common color blindness can tell apart, ordered so
#: that neighbors also differ in lightness and stay distinct in grey
#: (https://jfly.uni-koeln.de/color/). Black is left out: it vanishes on a dark page.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#B8A900")

#: In grey, shapes tell so many cases apart. Their number and that of the colors have no common
#: divisor, so that no two of 40 cases look the same; the same holds for dashes.
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")

DASHES = ((1, 0), (6, 2), (2, 2), (8, 2, 2, 2), (12, 3))

#: Of verdicts in the matrix of pairs.
BETTER, WORSE, EQUIVALENT, UNDECIDED = "#0072B2", "#D55E00", "#009E73", "#9A9A9A"

FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"

#: A font that vl-convert has, so that texts have the same size in every format.
PAPER_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"


def _config(ink: str, faint: str, font: str, size: int) -> dict[str, Any]:
    return {
        "background": None,
        "font": font,
        "axis": {
            "labelColor": ink, "titleColor": ink, "domainColor": faint, "tickColor": faint,
            "gridColor": faint, "gridOpacity": 0.35, "labelFontSize": size, "titleFontSize": size,
            "titleFontWeight": "normal", "labelLimit": 180, "labelOverlap": True,
        },
        "legend": {
            "labelColor": ink, "titleColor": ink, "labelFontSize": size, "titleFontSize": size,
            "titleFontWeight": "normal", "labelLimit": 240, "symbolStrokeWidth": 2,
        },
        "header": {"labelColor": ink, "titleColor": ink, "labelFontSize": size},
        "title": {
            "color": ink, "subtitleColor": ink, "fontSize": size + 1, "subtitleFontSize": size,
            "fontWeight": "normal", "subtitleFontWeight": "normal", "anchor": "start",
            "subtitlePadding": 4, "offset": 8,
        },
        "text": {"color": ink, "fontSize": size},
        "rule": {"color": ink},
        "view": {"stroke": None},
        "style": {"ink": {"color": ink}, "label": {"color": ink}},
    }  # fmt: skip


#: The configurations of the page, by its theme.
THEMES: Mapping[str, Mapping[str, Any]] = {
    "light": _config("#1f2328", "#8c959f", FONT, 12),
    "dark": _config("#e6edf3", "#6e7681", FONT, 12),
}

#: The configuration of figures for a paper: as large as its smallest text when printed in a column.
PAPER: Mapping[str, Any] = {
    **_config("#000000", "#888888", PAPER_FONT, 8),
    "background": "white",
}
