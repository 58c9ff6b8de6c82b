"""The page in a real browser: every view is drawn, everything works, and nothing leaves it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from made_runs import MANY, write_run

pytestmark = pytest.mark.extra

playwright = pytest.importorskip("playwright.sync_api")

WIDTHS = (400, 1000, 1600)

#: Texts that would do harm as HTML, as a script, as an expression of Vega or as a key.
HOSTILE = (
    "<script>window.harm=1</script>",
    "</script><img src=x onerror=window.harm=1>",
    "\"'); window.harm=1; ('",
    "datum.constructor.constructor('window.harm=1')()",
    "__proto__",
    "constructor",
    "{{ 7*7 }}",
)


def seqbench(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "seqbench", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


class Visit:
    """A page in the browser, with what went wrong on it."""

    def __init__(self, browser: Any, path: Path, width: int = 1000, fragment: str = ""):
        self.problems: list[str] = []
        size = {"width": width, "height": 900}
        self.page = browser.new_page(viewport=size)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("dialog", lambda dialog: self.problems.append(dialog.message))
        self.path = path
        self.page.goto(path.as_uri() + fragment)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _request(self, request: Any) -> None:
        if request.url.partition("#")[0] != self.path.as_uri() and not request.url.startswith(
            "blob:"
        ):
            self.problems.append(f"request of {request.url}")

    def see_everything(self) -> None:
        """Scroll to every chart and wait until it is drawn."""
        figures = self.page.locator("figure.chart")
        for number in range(figures.count()):
            figures.nth(number).scroll_into_view_if_needed()
            figures.nth(number).locator(".plot svg").first.wait_for()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *error: object) -> None:
        self.page.close()
        if error[0] is None:
            assert not self.problems


@pytest.fixture(scope="module")
def pages(timed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each: a run with samples, two reference runs, 1,002 trials, several runs."""
    folder = tmp_path_factory.mktemp("pages")
    many = write_run(folder / "results", textwrap.dedent(MANY))
    reference = ROOT / "results/reference"
    runs = {
        "timed": [timed],
        "fashion": [reference / "fashion"],
        "zoo": [reference / "zoo"],
        "study": [reference / "fashion-2020"],
        "many": [many],
        "several": [reference / "fashion", timed, reference / "zoo"],
    }
    for name, paths in runs.items():
        seqbench("report", *map(str, paths), "--output", f"{name}.html", folder=folder)
    return {name: folder / f"{name}.html" for name in runs}


@pytest.mark.parametrize(
    ("name", "width"),
    [*((name, width) for name in ("timed", "fashion", "zoo", "many") for width in WIDTHS),
     ("study", 1600), ("several", 400), ("several", 1600)],
)  # fmt: skip
def test_every_view_is_drawn(browser: Any, pages: dict[str, Path], name: str, width: int) -> None:
    with Visit(browser, pages[name], width) as visit:
        visit.see_everything()
        page = visit.page
        assert page.locator("figure.chart").count() >= 5
        assert page.locator(".statement").count() >= 1
        assert not page.get_by_text("cannot be drawn").count()
        # Only tables and matrices, which scroll by themselves, may be wider than the window.
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_small_and_says_what_is_missing(pages: dict[str, Path]) -> None:
    assert pages["fashion"].stat().st_size < 3_000_000
    text = pages["fashion"].read_text()
    assert "samples/gru-a030fd7b2d.json.gz is missing" in text
    assert "unsafe-eval" not in text.partition("<style>")[0]


def test_table(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["zoo"], 1600) as visit:
        page = visit.page
        names = page.locator("table.results tbody th")
        first = names.all_inner_texts()
        page.get_by_role("button", name="parameters").first.click()
        column = page.locator("table.results thead th").all_inner_texts()
        place = next(n for n, text in enumerate(column) if text.startswith("parameters"))
        rows = page.locator("table.results tbody tr")
        figures = [float(row.locator("td, th").nth(place).inner_text().replace(",", ""))
                   for row in rows.all()]  # fmt: skip
        assert figures == sorted(figures)
        assert names.all_inner_texts() != first
        assert "sort=parameters" in page.url

        page.get_by_placeholder("name, status").fill("lstm")
        shown = page.locator("table.results tbody tr:visible th").all_inner_texts()
        assert shown
        assert all("lstm" in name for name in shown)

        again = page.url
        page.goto("about:blank")
        page.goto(again)  # the address alone reproduces the view
        assert page.locator("table.results tbody tr:visible th").all_inner_texts() == shown
        page.get_by_placeholder("name, status").fill("")

        assert not page.locator("td .interval:visible").count()
        page.get_by_label("95 % intervals").check()
        assert page.locator("td .interval:visible").count() > 10

        heads = page.locator("table.results thead th:visible")
        before = heads.count()
        page.get_by_text("Columns").click()
        page.get_by_role("checkbox", name="weights, file").first.check()
        assert heads.count() == before + 1


def test_budget(browser: Any, pages: dict[str, Path]) -> None:
    """The figures that decide are those of the document."""
    document = _document(pages["fashion"])
    times = {case["label"]: case["latency"][0] for case in document["cases"]}
    limit = 1e6 * (times["lstm"]["high_s"] + 1e-6)
    fit = {name for name, entry in times.items() if 1e6 * entry["median_s"] <= limit}
    assert 0 < len(fit) < 4
    with Visit(browser, pages["fashion"], 1600) as visit:
        page = visit.page
        page.get_by_label("median latency, batch 1 ≤").fill(f"{limit:.3f}")
        over = set(page.locator("table.results tr.over th").all_inner_texts())
        assert over == set(times) - fit
        assert f"{len(fit)} of 4 fit" in page.locator(".fits").inner_text()
        figure = page.locator("#d0-pareto")
        figure.locator(".plot svg").wait_for()
        greyed = figure.locator(".mark-symbol path[opacity='0.15']")
        greyed.first.wait_for()
        assert greyed.count() == 4 - len(fit)
        # At the figure itself the interval crosses the limit.
        page.get_by_label("median latency, batch 1 ≤").fill(
            repr(1e6 * times["lstm"]["median_s"] * 1.0001)
        )
        assert "1 may fit" in page.locator(".fits").inner_text()


def _document(page: Path) -> Any:
    """The document that a page contains."""
    text = page.read_text().partition('<script type="application/json" class="document">')[2]
    return json.loads(text.partition("</script>")[0])


def test_document_is_that_of_the_run(pages: dict[str, Path]) -> None:
    run = str(ROOT / "results/reference/fashion")
    assert _document(pages["fashion"]) == json.loads(
        seqbench("show", run, "--format", "json", folder=ROOT)
    )


def test_pair(browser: Any, pages: dict[str, Path]) -> None:
    """A click on a cell of the matrix shows that pair; its address does so again."""
    with Visit(browser, pages["fashion"], 1600) as visit:
        page = visit.page
        matrix, seeds = page.locator("#d0-pairs"), page.locator("#d0-pair-seeds")
        matrix.scroll_into_view_if_needed()
        cell = matrix.locator(".mark-rect path[aria-label*='compared with: gru; row: lstm']")
        cell.click(force=True)
        seeds.get_by_text("lstm - gru: -0.5 points").wait_for()
        assert "p = " in seeds.locator("h3").inner_text()
        assert "pair=" in page.url
        address = "#" + page.url.partition("#")[2]
        seeds.locator(".mark-symbol path").first.wait_for()
        assert seeds.locator(".mark-symbol path").count() == 6  # two cases with three seeds
    with Visit(browser, pages["fashion"], 1600, address) as visit:
        visit.page.locator("#d0-pair-seeds").scroll_into_view_if_needed()
        visit.page.get_by_text("lstm - gru: -0.5 points").wait_for()
    with Visit(browser, pages["timed"], 1600) as visit:
        rounds = visit.page.locator("#d0-pair-rounds")
        rounds.scroll_into_view_if_needed()
        rounds.locator(".mark-symbol path").first.wait_for()
        assert "is faster" in rounds.inner_text() or "annot tell" in rounds.inner_text()


def test_choices_theme_and_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["timed"], 1000) as visit:
        page = visit.page
        figure = page.locator("#d0-curves")
        figure.scroll_into_view_if_needed()
        figure.locator(".plot svg").wait_for()
        figure.get_by_label("over").select_option("steps")
        figure.get_by_text("optimizer steps").last.wait_for()
        figure.get_by_text("The data as a table").click()
        figure.locator(".data tbody tr").first.wait_for()
        assert figure.locator(".data tbody tr").count() == 2 * 3 * 3

        page.keyboard.press("Home")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Theme").click()
        page.get_by_role("button", name="Theme").click()
        assert "theme=dark" in page.url
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before

        head = page.locator("table.results thead button").nth(2)
        head.focus()
        page.keyboard.press("Enter")
        assert page.locator("th[aria-sort]").count() == 1
        with page.expect_download() as download:
            figure.get_by_role("button", name="Save as SVG").click()
        assert download.value.suggested_filename == "curves.svg"
        page.get_by_text("The whole run as JSON").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert json.loads(Path(download.value.path()).read_text())["suite"] == "small"


def test_hostile_texts_stay_texts(browser: Any, tmp_path: Path) -> None:
    models = ", ".join(
        f"{{lstm: {{hidden_size: {n + 1}}}, label: {json.dumps(text)}}}"
        for n, text in enumerate(HOSTILE)
    )
    text = f"""
name: hostile
notes: {json.dumps(" ".join(HOSTILE))}
datasets: [{{parity: {{length: 8}}}}]
models: [{models}]
seeds: 3
"""
    strange = {"status": "failed", "reason": HOSTILE[1], "lines": HOSTILE, "log": HOSTILE[0]}
    run = write_run(tmp_path / "results", text, **strange)
    (run / "environment.json").write_text(
        json.dumps({"cpu": HOSTILE[1], "devices": {"cpu": HOSTILE[0]}})
    )
    seqbench("report", str(run), "--output", "hostile.html", folder=tmp_path)
    with Visit(browser, tmp_path / "hostile.html", 1600) as visit:
        visit.see_everything()
        page = visit.page
        for figure in page.locator("figure.chart .data summary").all():
            figure.click()
        for head in page.locator("table.results thead button:visible").all():
            head.click()
        page.locator("#d0-pareto .mark-symbol path").first.hover(force=True)
        assert page.evaluate("window.harm") is None
        names = page.locator("table.results tbody th").all_inner_texts()
        assert sorted(name.strip() for name in names) == sorted(HOSTILE)
        assert not page.locator("main script:not([type='application/json']), main img").count()


def test_nothing_can_be_evaluated(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["fashion"]) as visit:
        blocked = visit.page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.harm = 1';"
            " document.body.append(s); return window.harm === undefined }"
        )
        assert blocked
        assert any("Content Security Policy" in problem for problem in visit.problems)
        visit.problems.clear()


def test_several_runs(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["several"], 1600) as visit:
        page = visit.page
        banner = page.locator(".banner").inner_text()
        assert "CPU" in banner or "cores" in banner or "torch" in banner
        assert page.locator("article.run h2").count() >= 3
        assert not page.locator("td.best").count()
        rows = page.locator("table.results tbody th").all_inner_texts()
        assert any("(fashion)" in row for row in rows)


def test_a_suite_can_ask_for_the_page(tmp_path: Path, timed: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        "name: tiny\ndatasets: [{parity: {length: 4, train_size: 40, validation_size: 20, "
        "test_size: 20}}]\nmodels: [{rnn: {hidden_size: 4}}]\ntrain: {epochs: 1}\n"
        "measure: {accuracy: }\nreports: [html]\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "seqbench", "run", "tiny.yaml"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = list(tmp_path.glob("results/tiny/*/reports/html.html"))
    assert len(found) == 1
    assert "Learning curves" in found[0].read_text()
