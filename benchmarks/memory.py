"""What memory the runner and its workers hold, with little data and with much. Linux only.

    python benchmarks/memory.py --megabytes 100
    python benchmarks/memory.py --unequal 100000     # sequences of 5 to 2,000 steps

Two workers train in parallel on the same data; a model from a plugin written for this records what
its process and the runner hold after the last step. ``private`` is a worker's own memory: the
data are mapped and shared with the other workers, so it must not grow with them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from spending import PYTHON, environment, options, plugin_folder, show

SUITE = """
name: memory
datasets:
  - parity: {{length: {length}, train_size: {size}, validation_size: 0, test_size: 20}}
models: [scales]
seeds: 2
train: {{epochs: 1, batch_size: 1000}}
measure: [accuracy]
"""
UNEQUAL = """
name: memory
datasets: [uneven: {{size: {size}}}]
models: [scales]
seeds: 2
train: {{epochs: 1, batch_size: 100}}
measure: [accuracy]
"""
LENGTH, FLOAT = 100, 4
PLUGIN = """
import json, os, pathlib
import seqbench

@seqbench.hookimpl
def seqbench_models():
    return [seqbench.ModelSpec("scales", kind="model", build="scales:build")]

@seqbench.hookimpl
def seqbench_datasets():
    return [seqbench.DatasetSpec("uneven", load="scales:load", parameters={"size": 1000})]

def load(context, size):
    import numpy
    random = numpy.random.RandomState(0)
    lengths = random.randint(5, 2001, size=size)
    lengths[0] = 2000
    x = [numpy.full((n, 1), n, "float32") for n in lengths]
    few = (x[:20], numpy.zeros(20, int))
    task = seqbench.Task("features", 1, "label", 2, 2000)
    return seqbench.Splits(task, (x, lengths % 2), few)

def held(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name.rstrip(":"): 1024 * int(size) for name, size, _ in map(str.split, lines)}

def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def build(task):
    import torch

    class Scales(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, task.output_size)

        def forward(self, x):
            if not self.training:
                note = {"worker": held(os.getpid()), "runner": held(parent(os.getppid()))}
                place = pathlib.Path(os.environ["SCALES"]) / f"{os.getpid()}.json"
                place.write_text(json.dumps(note))
            return self.layer(x.flatten(1)[:, :1].float())

    return Scales()
"""


def main() -> None:
    chosen = options(__doc__, megabytes=100, unequal=0, rounds=3).parse_args()
    sizes = [1000, chosen.unequal or chosen.megabytes * 10**6 // (LENGTH * FLOAT)]
    mean = 1002 if chosen.unequal else LENGTH
    notes: dict[int, list[dict[str, Any]]] = {size: [] for size in sizes}
    with TemporaryDirectory(prefix="memory-") as name:
        place = Path(name)
        plugin_folder(place, "scales", PLUGIN)
        for _ in range(chosen.rounds):
            for size in sizes:
                notes[size] += weighed(place, UNEQUAL if chosen.unequal else SUITE, size)
    rows = []
    for size, found in notes.items():
        worker = {kind: median(one["worker"][kind] for one in found) for kind in found[0]["worker"]}
        rows.append(
            {
                "data MB": size * mean * FLOAT / 1e6,
                "worker private MB": (worker["Private_Clean"] + worker["Private_Dirty"]) / 1e6,
                "worker proportional MB": worker["Pss"] / 1e6,
                "worker resident MB": worker["Rss"] / 1e6,
                "runner resident MB": median(one["runner"]["Rss"] for one in found) / 1e6,
            }
        )
    private = [row["worker private MB"] for row in rows]
    show([{**row, "private, × least": row["worker private MB"] / private[0]} for row in rows],
         chosen.json)  # fmt: skip


def weighed(place: Path, text: str, size: int) -> list[dict[str, Any]]:
    """Runs the suite on that many sequences; what each worker noted."""
    suite, noted = place / "memory.yaml", place / "noted"
    suite.write_text(text.format(length=LENGTH, size=size))
    noted.mkdir(exist_ok=True)
    for path in noted.iterdir():
        path.unlink()
    command = [PYTHON, "-m", "seqbench", "run", suite.name]
    variables = environment(place, SCALES=str(noted))
    subprocess.run(command, cwd=place, env=variables, check=True, capture_output=True)
    return [json.loads(path.read_text()) for path in noted.iterdir()]


if __name__ == "__main__":
    main()
