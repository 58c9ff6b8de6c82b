"""Draws the pictures of docs/gallery.md, and that of the page: ``python docs/gallery.py``.

The commands are those that the gallery shows, so a picture cannot differ from its command. Needs
the extra `report`; the picture of the page also needs playwright, Pillow and Chromium, and is left
as it is without them.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
COMMAND = re.compile(r"^seqbench (plot .*) -o (\S+\.svg)$", re.MULTILINE)

#: Attributes for screen readers. The gallery embeds pictures as images, of which these are no part,
#: and has a text for each; they are half of some files.
UNSEEN = re.compile(r' (?:aria-\w+|role)="[^"]*"')

PAGE = ROOT / "results" / "reference" / "fashion"
SIZE = {"width": 1300, "height": 1336}


def draw_charts(folder: Path) -> list[Path]:
    """Runs every command of the gallery, and returns the files, all in ``folder``."""
    written = []
    for command, name in COMMAND.findall((DOCS / "gallery.md").read_text("utf-8")):
        target = folder / name
        _seqbench(*shlex.split(command), "-o", str(target))
        target.write_text(UNSEEN.sub("", target.read_text("utf-8")) + "\n", encoding="utf-8")
        written.append(target)
    return written


def draw_page(target: Path) -> None:
    """The upper part of the page of a run, in a window of 1300 × 1336 pixels, with 256 colors."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = Path(folder) / "page.html"
        _seqbench("report", str(PAGE.relative_to(ROOT)), "-o", str(page))
        browser = driver.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        window = browser.new_page(viewport=SIZE, color_scheme="light")
        window.goto(page.as_uri())
        window.locator(".plot svg").first.wait_for()
        picture = window.screenshot()
        browser.close()
    # The default method takes the most frequent colors, and thin lines would get that of others.
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    few = image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


def _chromium() -> str | None:
    """The browser of the system; None stands for that of playwright."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def _seqbench(*arguments: str) -> None:
    command = [sys.executable, "-m", "seqbench", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"seqbench {shlex.join(arguments)}: {done.stderr.strip()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS, help="folder to write to (default: docs)")
    out = parser.parse_args().out.resolve()
    (out / "gallery").mkdir(parents=True, exist_ok=True)
    for path in draw_charts(out / "gallery"):
        print(path.relative_to(out))
    absent = [name for name in ("playwright", "PIL") if importlib.util.find_spec(name) is None]
    if absent:
        print(f"page.png is left as it is: {' and '.join(absent)} not installed")
        return
    draw_page(out / "page.png")
    print("page.png")


if __name__ == "__main__":
    main()
