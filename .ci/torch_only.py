"""Makes a folder of links to torch, torchvision and what they require, as installed here.

    python .ci/torch_only.py FOLDER

An environment that has the folder on its path has torch and nothing else.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path


def required(name: str, found: dict[str, importlib.metadata.Distribution]) -> None:
    """Adds a distribution and, one after the other, those it requires, if they are installed."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        found[key] = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:  # for another system, or of an extra
        return
    for line in found[key].requires or ():
        if "extra ==" not in line:
            required(re.split(r"[^\w.-]", line, maxsplit=1)[0], found)


def main(folder: Path) -> None:
    folder.mkdir()
    found: dict[str, importlib.metadata.Distribution] = {}
    for name in ("torch", "torchvision"):
        required(name, found)
    for distribution in found.values():
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            target, link = Path(str(distribution.locate_file(name))), folder / name
            if target.exists() and not link.exists():
                link.symlink_to(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
