"""What a page of many trials costs: to write, and until a reader sees its verdict and table.

    python benchmarks/page.py --cases 334 --seeds 3

Writes a run of that size without training anything, makes its page with `seqbench report`, and
loads it in headless Chromium (needs the extra `report`, playwright and a browser), taking turns
with the page of a single case.
"""

from __future__ import annotations

import shutil
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from statistics import median
from subprocess import run
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from made_runs import write_run  # noqa: E402

#: Milliseconds until the first row of the table has been laid out and painted.
PAINTED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const row = document.querySelector("table.results tbody tr");
  done(row && row.getBoundingClientRect().height > 0 ? performance.now() : null);
})))"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=334)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with TemporaryDirectory() as name, sync_playwright() as driver:
        sizes = {"one case": 1, f"{chosen.cases} cases": chosen.cases}
        pages = {what: _page(Path(name), n, chosen.seeds) for what, n in sizes.items()}
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found: dict[str, list[float]] = {what: [] for what in pages}
        for _ in range(chosen.rounds):
            for what, (page, _) in pages.items():
                tab = browser.new_page(viewport={"width": 1300, "height": 900})
                tab.goto(page.as_uri(), wait_until="commit")
                tab.wait_for_selector("table.results tbody tr")
                found[what].append(tab.evaluate(PAINTED) / 1000)
                tab.close()
        for what, (page, seconds) in pages.items():
            size, seen = page.stat().st_size / 1e6, median(found[what])
            print(f"{what}: {size:.2f} MB, written in {seconds:.1f} s; visible after {seen:.2f} s")


def _page(place: Path, cases: int, seeds: int) -> tuple[Path, float]:
    text = (
        f"name: cases-{cases}\ndatasets: [{{parity: {{length: 8}}}}]\n"
        f"models: [{{lstm: {{hidden_size: {list(range(1, cases + 1))}}}}}]\n"
        f"train: {{epochs: 5}}\nseeds: {seeds}\ndevices: [cpu]\n"
    )
    folder = write_run(place / "results", text)
    page = place / f"{cases}.html"
    clock = time.perf_counter()
    command = [sys.executable, "-m", "seqbench", "report", str(folder), "--output", str(page)]
    run(command, check=True, capture_output=True)
    return page, time.perf_counter() - clock


if __name__ == "__main__":
    main()
