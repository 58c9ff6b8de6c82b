"""Small images as sequences: Fashion-MNIST, MNIST and Kuzushiji-MNIST."""

import seqbench
from seqbench import DatasetSpec, Param

PARAMETERS = {
    "view": Param(
        "rows",
        choices=("rows", "columns", "pixels"),
        help="a step is a row of 28 pixels, a column of 28 pixels, or one of 784 pixels",
    ),
    "validation": Param(
        5000,
        minimum=0,
        help="validation images, split from the training set, the same for every seed",
    ),
    "permute": Param(
        None, help="seed of a fixed permutation of the pixels (view: pixels); null: none"
    ),
}


@seqbench.hookimpl
def seqbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name,
            load=f"seqbench_builtin.images.load:{name}",
            parameters=PARAMETERS,
            description=description,
            tasks=["features/label"],
        )
        for name, description in (
            ("fashion_mnist", "Fashion-MNIST: 70,000 images of clothes, 10 classes"),
            ("mnist", "MNIST: 70,000 handwritten digits, 10 classes"),
            ("kmnist", "Kuzushiji-MNIST: 70,000 cursive Japanese characters, 10 classes"),
        )
    ]
