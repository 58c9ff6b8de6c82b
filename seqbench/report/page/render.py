"""The page as HTML: everything inline, nothing loaded, and no script but its own."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from seqbench.report.charts.chart import Chart
from seqbench.report.charts.theme import THEMES
from seqbench.report.page.content import Page

#: Nothing is loaded from anywhere, and only these scripts and styles are used. Vega
#: interprets its expressions, so that ``unsafe-eval`` is not needed.
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; base-uri 'none'; "
    "form-action 'none'"
)


def render(page: Page) -> str:
    """The page as one HTML document."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    scripts = [vega(), _asset("page.js")]
    styles = [_asset("page.css")]
    policy = POLICY.format(
        scripts=" ".join(map(_hash, scripts)), styles=" ".join(map(_hash, styles))
    )
    environment = Environment(
        loader=PackageLoader("seqbench.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    return environment.get_template("page.html.jinja").render(
        page=page, policy=policy, scripts=scripts, styles=styles, themes=THEMES,
        chart_data=chart_data, escaped_json=escaped_json,
    )  # fmt: skip


def chart_data(chart: Chart) -> dict[str, Any]:
    """What the script needs of a chart."""
    return {
        "spec": {"description": chart.sentence or chart.title, **chart.spec},
        "title": chart.title,
        "sentence": chart.sentence,
        "fields": chart.fields,
        "choices": [
            {"name": choice.name, "options": [
                {"name": option.name, "note": option.note, "sentence": option.sentence,
                 "changes": changes}
                for option, changes in zip(choice.options, choice.changes, strict=True)
            ]}
            for choice in chart.choices
        ],
    }  # fmt: skip


def embedded(value: Any) -> str:
    """Data as JSON for a script element, out of which no text can break."""
    return escaped_json(json.dumps(value, separators=(",", ":"), allow_nan=False))


def escaped_json(text: str) -> str:
    """JSON in which ``<``, ``>`` and ``&`` are escaped; they occur in strings only."""
    from markupsafe import Markup

    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return files("seqbench.report.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
