"""Two classic tasks with generated data: adding and parity."""

import seqbench
from seqbench import DatasetSpec, Param

SIZES = {
    "train_size": Param(10_000, minimum=1, help="training sequences"),
    "validation_size": Param(
        1_000, minimum=0, help="validation sequences, to select the best epoch"
    ),
    "test_size": Param(2_000, minimum=1, help="test sequences"),
    "seed": Param(0, minimum=0, maximum=2**32 - 1, help="seed of the data, not of training"),
}


@seqbench.hookimpl
def seqbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "adding",
            load="seqbench_builtin.synthetic.tasks:adding",
            parameters={"length": Param(50, minimum=2, help="steps per sequence"), **SIZES},
            description="Adding problem: the sum of the two marked numbers (regression)",
            tasks=["features/value"],
            generated=True,
        ),
        DatasetSpec(
            "parity",
            load="seqbench_builtin.synthetic.tasks:parity",
            parameters={"length": Param(8, minimum=1, help="steps per sequence"), **SIZES},
            description="Parity: whether a sequence of zeros and ones has an odd number of ones",
            tasks=["tokens/label"],
            generated=True,
        ),
    ]
