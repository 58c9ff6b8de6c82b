"""LaTeX exports, compiled with a real LaTeX: Debian's ``texlive-latex-extra``."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from made_documents import FIGURES, made
from test_accuracy import classified, with_latencies

from seqbench import Run
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.latex_table import latex_figures
from seqbench.report.exports.latex_text import ACCENTS, LATEX, LATIN, latex, latex_paragraph
from seqbench.report.views.confusion import confusion_view
from seqbench.report.views.export import view_to_latex
from seqbench.report.views.memory import memory_view
from seqbench.report.views.pairs import pairs_view
from seqbench.testing.plugin_checks.documents import documents

REFERENCE = ROOT / "results" / "reference"

HOSTILE = (
    "\\input{x} \\undefined",
    "a_b^c~d #1 $x$ 50 % & {x} }{ \"quoted\" 'single' `back` <<>> [x] *",
    "-5 -- --- ,, '' !` ?` | ",
    "µ-LSTM ±1 ≥2 αβγ Ωmega ΑΒΓ",
    "中文 日本語 한국어 emoji 🙂 \u202eזרה",
    "naïve Škoda façade Łódź Đorđe þ ﬁ œuvre \u0301x",
    "x" * 300,
    "word_" * 60,
)

PREAMBLES = {
    "article": r"\documentclass{article}",
    "two columns": r"\documentclass[twocolumn,10pt]{article}",
    "T1 fonts": "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{lmodern}",
}

#: What a log has if a page is not as it should be.
FAULTS = re.compile(
    r"^!|Undefined control sequence|^Overfull|Float too large|Missing character|multiply defined",
    re.MULTILINE,
)


def compiled(body: str, folder: Path, preamble: str = PREAMBLES["article"]) -> list[str]:
    """The faults in the log of ``pdflatex``."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    packages = r"\usepackage{booktabs, adjustbox}"
    text = f"{preamble}\n{packages}\n\\begin{{document}}\nText.\n{body}\n\\end{{document}}\n"
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"]
    for _ in range(2):  # labels are known the second time
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    lines = log.splitlines()
    faults = ["\n".join(lines[n : n + 4]) for n, line in enumerate(lines) if FAULTS.search(line)]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert done.returncode == 0 or faults
    return faults


def renamed(document: Any, text: str) -> Any:
    """The document with ``text`` wherever a suite or a plugin can put text."""
    document.update(notes=text, suite=text, run=text)
    for number, case in enumerate(document["cases"]):
        case.update(label=f"{text[:50]} {number}", model=text, dataset=text, dataset_label=text)
        case["dataset_params"], case["note"], case["reason"] = {text: text}, text, text
    for trial in document["trials"]:
        trial.update(reason=text)
        if "classes" in trial["metrics"]:
            trial["metrics"]["classes"] = [f"{n} {text}" for n in range(4)]
    return document


def exports() -> Iterator[tuple[str, str]]:
    """Every table, with what it shows."""
    for name in ("fashion", "zoo"):
        document: Any = Run.open(REFERENCE / name).document
        yield name, to_latex(document)
        yield f"{name}, intervals", to_latex(document, intervals=True)
        yield f"{name}, memory", view_to_latex(memory_view(document))
        yield f"{name}, pairs", view_to_latex(pairs_view(document))
    document = Run.open(REFERENCE / "fashion").document
    yield "confusion", view_to_latex(confusion_view(document, "gru"))
    yield "30 classes", view_to_latex(confusion_view(classified(30), "lstm"))
    names = [f"{'a very long name of a class ' * 5}{n}" for n in range(20)]
    yield "20 long classes", view_to_latex(confusion_view(classified(20, names), "lstm"))
    yield "no figures", view_to_latex(memory_view(made(FIGURES)))
    for kind, other in documents().items():
        yield kind, to_latex(other)
        yield f"{kind}, memory", view_to_latex(memory_view(other))
    crowd: Any = made(FIGURES)
    crowd["cases"] = [{**case, "label": f"case {n}"} for n in range(70) for case in crowd["cases"]]
    yield "210 cases", to_latex(crowd)


@pytest.mark.slow
@pytest.mark.parametrize("style", PREAMBLES)
def test_every_table_compiles_and_fits_the_page(style: str, tmp_path: Path) -> None:
    faults = {}
    for what, text in exports():
        if found := compiled(text, tmp_path, PREAMBLES[style]):
            faults[what] = found
    assert not faults


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_compile(name: str, tmp_path: Path) -> None:
    texts = [
        to_latex(renamed(with_latencies(), name)),
        view_to_latex(pairs_view(renamed(with_latencies(), name))),
        view_to_latex(memory_view(renamed(with_latencies(), name))),
        view_to_latex(confusion_view(renamed(classified(4), name), name)),
        to_latex(renamed(Run.open(REFERENCE / "zoo").document, name)),
    ]
    assert not [fault for text in texts for fault in compiled(text, tmp_path)]


@pytest.mark.slow
@pytest.mark.parametrize("style", PREAMBLES)
def test_every_character_compiles(style: str, tmp_path: Path) -> None:
    accented = "".join(
        character
        for character in map(chr, range(0x100, 0x2000))
        if unicodedata.normalize("NFD", character)[1:] in ACCENTS
    )
    printable = "".join(filter(str.isprintable, map(chr, range(0x20, 0x3000, 7))))
    paragraphs = ("".join(LATEX), LATIN, accented, printable)
    body = "\n\n".join(rf"\raggedright {latex_paragraph(text)}" for text in paragraphs)
    assert not compiled(body, tmp_path, PREAMBLES[style])


def test_text_is_escaped_so_that_it_reads_as_it_is() -> None:
    for text, expected in {
        "a--b": "a-{}-b",
        "\\input{x}": r"\textbackslash{}input\{x\}",
        "Škoda": r"\v{S}koda",
        "naïve": "naïve",
        "αβ": r"$\alpha$$\beta$",
        "中": r"\textless{}U+4E2D\textgreater{}",
    }.items():
        assert latex(text) == expected


def test_figures_are_aligned_at_their_points() -> None:
    assert latex_figures(["1.5", "20", "—"]) == [
        "1.5", r"20\phantom{.0}", r"\textemdash{}\phantom{.0}",
    ]  # fmt: skip
    assert latex_figures(["9.5 ± 0.5", "10 ± 2", "7"]) == [
        r"9.5 $\pm$ 0.5",
        r"10\phantom{.0} $\pm$ 2\phantom{.0}",
        r"7\phantom{.0}\phantom{ $\pm$ }\phantom{0.0}",
    ]
    assert latex_figures(["-1", "9 [8–10]"]) == [
        r"$-$1\phantom{ {[}}\phantom{0\textendash{}00{]}}",
        r"9 {[}8\textendash{}10{]}",
    ]
    assert latex_figures([]) == []


def test_tables_have_captions_and_labels_of_their_own() -> None:
    document: Any = made(FIGURES)
    document["cases"] = [
        {**case, "label": f"case {n}"} for n in range(40) for case in document["cases"]
    ]
    text = to_latex(document)
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert len(labels) == len(set(labels)) == text.count(r"\begin{table}") > 1
    assert labels[0] == "tab:x-parity"
    assert text.count(r"\emph{bold}") <= 1
    rows = [line for line in text.splitlines() if line.startswith("case ") and "& " in line]
    assert len([row for row in rows if not row.startswith("case &")]) == 120
