"""What commands cost, compared with starting Python and importing the libraries they need.

    python benchmarks/cli.py --rounds 10
    python benchmarks/cli.py --suite suites/quick.yaml --results results

They are interleaved, round by round; figures are medians. ``show`` needs a run under ``--results``.
"""

from __future__ import annotations

from pathlib import Path

from spending import PYTHON, in_turns, options, show

YARDSTICKS = {
    "python -c pass": "pass",
    "import click, rich": "import click, rich.console, rich.table",
}


def main() -> None:
    parser = options(__doc__, rounds=10)
    parser.add_argument("--suite", default="suites/quick.yaml")
    parser.add_argument("--results", type=Path, default=Path("results"))
    chosen = parser.parse_args()
    seqbench = [PYTHON, "-m", "seqbench"]
    commands = {name: [PYTHON, "-c", code] for name, code in YARDSTICKS.items()}
    commands |= {name: [*seqbench, name] for name in ("--help", "plugins")}
    commands["validate"] = [*seqbench, "validate", chosen.suite]
    if runs := sorted(chosen.results.glob("*/*/run.json")):
        commands["show"] = [*seqbench, "show", str(runs[-1].parent)]
    found = in_turns(commands, chosen.rounds)
    python, libraries = (found[name].cpu for name in YARDSTICKS)
    rows = [
        {
            "command": name,
            "wall s": one.wall,
            "cpu s": one.cpu,
            "× python": one.cpu / python,
            "× click, rich": one.cpu / libraries,
            "peak MB": one.peak / 1e6,
        }
        for name, one in found.items()
    ]
    show(rows, chosen.json)


if __name__ == "__main__":
    main()
