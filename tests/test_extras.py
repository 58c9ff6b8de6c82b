"""Without the package that a command needs, one line names the extra that installs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT, lay

RUN = str(ROOT / "results/reference/fashion")

#: A package that is not there, whatever is installed.
HIDING = """
    import importlib.abc, sys

    class Hidden(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {hidden!r}.split():
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Hidden())
    """


@pytest.mark.parametrize(
    ("arguments", "hidden", "extra"),
    [
        (("report", RUN, "--output", "x.html"), "altair", "report"),
        (("plot", RUN, "pareto"), "vl_convert", "report"),
        (("show", RUN, "--format", "html"), "altair", "report"),
        (("export", RUN, "--format", "parquet", "--output", "x"), "pyarrow", "parquet"),
        (("export", RUN, "--format", "mlflow", "--output", "x"), "mlflow", "mlflow"),
        (("export", RUN, "--format", "pyperf", "--output", "x"), "pyperf", "pyperf"),
    ],
)
def test_one_line_names_the_extra(
    arguments: tuple[str, ...], hidden: str, extra: str, tmp_path: Path
) -> None:
    site = lay(
        tmp_path / "site", {"sitecustomize.py": textwrap.dedent(HIDING).format(hidden=hidden)}
    )
    place = tmp_path / "empty"
    place.mkdir()
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "seqbench", *arguments],
        cwd=place, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    text = " ".join(done.stderr.split())
    assert re.fullmatch(rf'error: .* needs .*{hidden}.*pip install "seqbench\[{extra}\]"', text)
    assert not list(place.iterdir())
