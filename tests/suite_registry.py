"""A fixed registry, so that the tests of suites do not depend on installed plugins."""

from __future__ import annotations

from seqbench.plugins.registry import Offer, Origin, Plugin, Registry
from seqbench.types import DatasetSpec, MetricSpec, ModelSpec, Param, ReportSpec

ORIGIN = Origin("test", "seqbench", "0.1.0")
SIZES = {"hidden_size": Param(128, minimum=1), "num_layers": Param(1, minimum=1),
         "bidirectional": False, "dropout": Param(0.0, minimum=0, maximum=1)}  # fmt: skip
IMAGES = {"view": Param("rows", choices=("rows", "columns", "pixels")), "validation": 5000,
          "permute": None}  # fmt: skip
SPLITS = {"train_size": 10_000, "validation_size": 1_000, "test_size": 2_000, "seed": 0}
MODELS = (
    ModelSpec("rnn", "m:rnn", {**SIZES, "nonlinearity": Param("tanh", choices=("tanh", "relu"))}),
    ModelSpec("lstm", "m:lstm", SIZES),
    ModelSpec("gru", "m:gru", SIZES),
    ModelSpec("whole", "m:whole", {"sizes": [3, 4]}, kind="model"),
)
DATASETS = (
    DatasetSpec("fashion_mnist", "d:fashion", IMAGES),
    DatasetSpec("adding", "d:adding", {"length": 50, **SPLITS}),
    DatasetSpec("parity", "d:parity", {"length": Param(8, minimum=1), **SPLITS}),
)
METRICS = (MetricSpec("top_k", "m:top_k", {"k": Param(5, minimum=1)}, share=True),)
REPORTS = (ReportSpec("winners", "r:winners", suffix="md"),)
REGISTRY = Registry(
    (
        Plugin(
            ORIGIN,
            tuple(Offer(spec, ORIGIN) for spec in (*MODELS, *DATASETS, *METRICS, *REPORTS)),
        ),
    )
)
