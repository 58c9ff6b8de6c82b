"""Runs every benchmark in this folder, one after the other.

    python benchmarks/all.py --data DIRECTORY
    python benchmarks/all.py --only cli.py records.py

By calculation this takes an hour and a half on two cores. ``--data`` is torchvision's folder of
datasets, for the scripts that seqbench is compared with.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = (
    "cli.py", "process.py", "first_step.py", "memory.py", "records.py", "loop.py", "suite.py",
    "estimate.py", "trust.py",
)  # fmt: skip


def main() -> None:
    options = _options()
    arguments = {"suite.py": ["--data", str(options.data)], "trust.py": ["run"]}
    failed = []
    for script in options.only:
        print(f"\n## {script}\n", flush=True)
        command = [sys.executable, str(HERE / script), *arguments.get(script, ())]
        if subprocess.run(command).returncode:
            failed.append(script)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="SCRIPT")
    return parser.parse_args()


if __name__ == "__main__":
    main()
