"""The gallery shows what its commands draw, and the pictures are small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

DOCS = ROOT / "docs"
SCRIPT = DOCS / "gallery.py"
PICTURES = sorted((DOCS / "gallery").glob("*.svg"))


def test_pictures_are_small_and_shown() -> None:
    text = (DOCS / "gallery.md").read_text("utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(gallery/(\S+)\)", text)
    drawn = re.findall(r"^seqbench plot .* -o (\S+)$", text, re.MULTILINE)
    assert shown == drawn
    assert sorted(shown) == [path.name for path in PICTURES]
    sizes = [path.stat().st_size for path in PICTURES]
    assert max(sizes) < 60_000
    assert sum(sizes) < 600_000
    assert (DOCS / "page.png").stat().st_size < 200_000


@pytest.mark.extra
def test_the_script_draws_the_pictures_of_the_gallery(tmp_path: Path) -> None:
    """With the same texts and as many marks; where they stand depends on the fonts and on Vega."""
    pytest.importorskip("vl_convert")
    pytest.importorskip("playwright.sync_api")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "page.png\n" in done.stdout
    again = sorted((tmp_path / "gallery").iterdir())
    assert [path.name for path in again] == [path.name for path in PICTURES]
    for new, old in zip(again, PICTURES, strict=True):
        assert contents(new) == contents(old), f"{old.name}: run python docs/gallery.py"
    size = (tmp_path / "page.png").read_bytes()[16:24]
    assert size == (DOCS / "page.png").read_bytes()[16:24]


def contents(picture: Path) -> tuple[list[str], int]:
    """The texts of a picture but for numbers on axes, of which fonts can drop some; its marks."""
    text = picture.read_text("utf-8")
    words = [word for word in re.findall(r"<text[^>]*>([^<]*)", text) if re.search("[a-z]", word)]
    return words, len(re.findall(r"mark-(?:symbol|rect|line|rule)", text))
