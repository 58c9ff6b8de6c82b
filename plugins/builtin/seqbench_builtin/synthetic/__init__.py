"""Two classic tasks whose data are computed, not downloaded: adding and parity."""

import seqbench
from seqbench import DatasetSpec, Param

SIZES = {
    "train_size": Param(10_000, minimum=1, help="sequences to train on"),
    "validation_size": Param(1_000, minimum=0, help="sequences to choose the best epoch on"),
    "test_size": Param(2_000, minimum=1, help="sequences to test on"),
    "seed": Param(0, minimum=0, maximum=2**32 - 1, help="decides on the data; not on training"),
}


@seqbench.hookimpl
def seqbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "adding",
            load="seqbench_builtin.synthetic.tasks:adding",
            parameters={"length": Param(50, minimum=2, help="steps of a sequence"), **SIZES},
            description="Adding problem: the sum of the two marked numbers (regression)",
        ),
        DatasetSpec(
            "parity",
            load="seqbench_builtin.synthetic.tasks:parity",
            parameters={"length": Param(8, minimum=1, help="steps of a sequence"), **SIZES},
            description="Parity: whether a sequence of zeros and ones has an odd number of ones",
        ),
    ]
