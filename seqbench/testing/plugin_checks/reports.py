"""The checks of report plugins."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.report.render import render_report
from seqbench.report.text import UNSHOWABLE
from seqbench.summary.schema import Document
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.documents import documents
from seqbench.testing.plugin_checks.process_state import ProcessState, check_unchanged
from seqbench.testing.plugin_checks.results import Check, Violation, Warned

#: Suffixes of reports in which HTML is executed.
HTML = ("html", "htm", "xhtml", "svg", "xml")

STRANGERS = "a run with text from strangers"


@dataclass(frozen=True)
class ReportCandidate:
    """A report to check.

    Args:
        choice: the report with all its parameters.
        suffix: the suffix of its files, which tells what must be escaped.
    """

    choice: Choice
    suffix: str

    @cached_property
    def before(self) -> ProcessState:
        """The state of the process before any of the plugin's code ran."""
        return ProcessState.now()

    def text(self, document: Document) -> str:
        """The report of a document. Raises PluginError."""
        _ = self.before
        return render_report(self.choice, document)


def _imports_no_torch(candidate: ReportCandidate) -> None:
    declares_lightly(candidate.choice)


def _renders(candidate: ReportCandidate) -> str:
    found = documents()
    for what, document in found.items():
        try:
            candidate.text(document)
        except PluginError as error:
            raise Violation("text for every document", str(error), what) from error
    return f"{len(found)} kinds of documents"


def _unmodified(candidate: ReportCandidate) -> None:
    for what, document in documents().items():
        before = copy.deepcopy(document)
        candidate.text(document)
        if document != before:
            keys = [key for key in before if before.get(key) != document.get(key)]
            raise Violation("an unchanged document", f"changed: {', '.join(keys)}", what)


def _repeatable(candidate: ReportCandidate) -> None:
    for what, document in documents().items():
        if candidate.text(document) != candidate.text(document):
            raise Warned(f"two reports of one document differ ({what})")


def _escaped(candidate: ReportCandidate) -> str:
    """Labels, notes, reasons and parameters of a document may contain any text."""
    text = candidate.text(documents()[STRANGERS])
    wrong = next(_unescaped(text, candidate.suffix), "")
    if wrong:
        raise Violation("text of suites and plugins as plain text", wrong, STRANGERS)
    return f"as .{candidate.suffix}"


def _unescaped(text: str, suffix: str) -> Iterator[str]:
    """What a report does with the hostile text that a reader's program would act on."""
    if suffix == "json":
        try:
            json.loads(text)
        except ValueError as error:
            yield f"invalid JSON: {error}"
        return
    control = {c for c in text if unicodedata.category(c) in UNSHOWABLE and c not in "\n\t"}
    if control:
        yield f"control characters: {', '.join(ascii(c) for c in sorted(control))}"
    if suffix in HTML and "<script" in text:
        yield "<script> as HTML"
    if suffix == "md" and re.search(r"(?<!\\)<script", re.sub(r"`[^`\n]*`", "", text)):
        yield "<script> as HTML; in Markdown, write \\<"
    if suffix == "tex" and any(
        r"\input" in line for line in text.splitlines() if not line.lstrip().startswith("%")
    ):
        yield r"\input as a command of LaTeX"
    if suffix in ("csv", "tsv"):
        rows = csv.reader(io.StringIO(text), delimiter="\t" if suffix == "tsv" else ",")
        if any(cell.startswith("=") for row in rows for cell in row):
            yield "a cell that starts with '=', which spreadsheets run as a formula"


def _globals(candidate: ReportCandidate) -> None:
    candidate.text(documents()[STRANGERS])
    if remark := check_unchanged(candidate.before, candidate.choice):
        raise Warned(remark)


REPORT_CHECKS = (
    Check("import", "its declaration imports no torch", _imports_no_torch),
    Check("text", "it returns text for every kind of document", _renders, needed=True),
    Check("document", "the document is not modified", _unmodified),
    Check("repeatable", "the same document gives the same text", _repeatable,
          after=("document",)),
    Check("escapes", "text of suites and plugins is shown as text", _escaped),
    Check("globals", "the global state of the process is unchanged", _globals),
)  # fmt: skip
