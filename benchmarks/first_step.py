"""How long after Enter a run makes its first training step, compared with importing torch.

    python benchmarks/first_step.py --rounds 5

The data are prepared before, so that the cache is warm. A model of a plugin made for this notes
when it is first called in training.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from spending import PYTHON, environment, options, plugin_folder, show

SUITE = """
name: first
datasets: [{parity: {length: 4, train_size: 100, validation_size: 0, test_size: 20}}]
models: [stopwatch]
train: {epochs: 1, batch_size: 20}
measure: {accuracy: }
"""
PLUGIN = """
import os, pathlib, time
import seqbench

@seqbench.hookimpl
def seqbench_models():
    return [seqbench.ModelSpec("stopwatch", kind="model", build="stopwatch:build")]

def build(task):
    import torch

    class Stopwatch(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, task.output_size)

        def forward(self, x):
            if self.training:
                with pathlib.Path(os.environ["STOPWATCH"]).open("a") as file:
                    print(time.time(), file=file)
            return self.layer(x[:, :1].float())

    return Stopwatch()
"""


def main() -> None:
    chosen = options(__doc__, rounds=5).parse_args()
    with TemporaryDirectory(prefix="first-step-") as name:
        place = Path(name)
        (place / "first.yaml").write_text(SUITE)
        plugin_folder(place, "stopwatch", PLUGIN)
        first_step(place)  # prepares the data, warms the disk cache
        steps, imports = [], []
        for _ in range(chosen.rounds):
            imports.append(importing_torch())
            steps.append(first_step(place))
    took, torch = median(steps), median(imports)
    rows = [
        {"what": "import torch", "median s": torch, "most s": max(imports), "× torch": 1.0},
        {"what": "first step", "median s": took, "most s": max(steps), "× torch": took / torch},
    ]
    show(rows, chosen.json)


def importing_torch() -> float:
    clock = time.perf_counter()
    subprocess.run([PYTHON, "-c", "import torch"], check=True)
    return time.perf_counter() - clock


def first_step(place: Path) -> float:
    """Runs the suite; seconds from the start of the command to the first step."""
    note = place / "noted"
    note.unlink(missing_ok=True)
    started = time.time()
    subprocess.run(
        [PYTHON, "-m", "seqbench", "run", "first.yaml"],
        cwd=place, env=environment(place, STOPWATCH=str(note)), check=True, capture_output=True,
    )  # fmt: skip
    return float(note.read_text().split()[0]) - started


if __name__ == "__main__":
    main()
