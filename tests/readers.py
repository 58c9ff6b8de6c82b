"""Readers of the formats that seqbench writes, for tests: each returns the tables as text."""

from __future__ import annotations

import re
import xml.dom.minidom
from html.parser import HTMLParser

Rows = list[list[str]]


def markdown_tables(text: str) -> list[Rows]:
    """The tables of a Markdown text, without the row of dashes."""
    tables: list[Rows] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        if not inside:
            tables.append([])
        inside = True
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        if not all(re.fullmatch(r"\s*-+:?\s*", cell) for cell in cells):
            tables[-1].append([_from_markdown(cell.strip()) for cell in cells])
    return tables


def _from_markdown(cell: str) -> str:
    plain = re.sub(r"(?<!\\)\*\*", "", cell)
    return re.sub(r"\\(.)", r"\1", plain)


class _Tables(HTMLParser):
    """Collects the cells of all tables, and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Rows] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def html_tables(text: str) -> list[Rows]:
    """The tables of a piece of HTML, which must be well-formed."""
    parser = _Tables()
    parser.feed(text)
    parser.close()
    assert not parser.open
    return parser.tables


#: What LaTeX prints for the commands that are used in cells.
COMMANDS = {
    r"$\pm$": "±", r"$-$": "-", r"$\div$": "÷", r"$\geq$": "≥", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textmu{}": "µ", r"\textemdash{}": "—", r"\textendash{}": "–",
    r"\%": "%", r"\_": "_", r"\&": "&", "{[}": "[", "{]}": "]", "{*}": "*",
}  # fmt: skip


def latex_tables(text: str) -> list[Rows]:
    """The tables of a LaTeX text as they are printed, without the letters of figures."""
    found = re.findall(r"\\begin\{tabular\}[^\n]*\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    return [
        [
            [_from_latex(cell) for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]
            for line in body.splitlines()
            if line.endswith(r"\\")
        ]
        for body in found
    ]


def _from_latex(cell: str) -> str:
    plain = re.sub(r"\\phantom\{(\{.\}|[^{}]|\\\w+\{\})*\}", "", cell)
    plain = re.sub(r"\\textsuperscript\{[a-z]*\}", "", plain)
    for command, character in COMMANDS.items():
        plain = plain.replace(command, character)
    plain = re.sub(
        r"\\(?:textbf|multicolumn\{\d+\}\{c\}|rotatebox\{90\})\{([^{}]*)\}", r"\1", plain
    )
    assert "\\" not in plain, cell
    return " ".join(plain.split())


def svg_lines(text: str) -> list[str]:
    """The lines of a picture of a terminal."""
    lines: dict[float, dict[float, str]] = {}
    for node in xml.dom.minidom.parseString(text).getElementsByTagName("text"):
        written = "".join(child.data for child in node.childNodes if child.nodeType == 3)
        x, y = (float(node.getAttribute(name) or 0) for name in ("x", "y"))
        lines.setdefault(y, {})[x] = written.replace("\xa0", " ")
    return ["".join(some for _, some in sorted(lines[y].items())).strip() for y in sorted(lines)]
