"""The packages of the zoo, which are installed separately: what each offers, and how to get it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import seqbench

#: The names that each package offers, by kind. ``tests/test_zoo.py`` compares it with plugins/zoo.
PACKAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "seqbench-aeon": {"dataset": ("aeon",)},
    "seqbench-charlm": {"dataset": ("char_lm",)},
    "seqbench-forecast": {"dataset": ("forecast",)},
    "seqbench-mambapy": {"model": ("mamba",)},
    "seqbench-mingru": {"model": ("mingru",)},
    "seqbench-ncps": {"model": ("cfc", "ltc")},
    "seqbench-optimizers": {
        "optimizer": ("adan", "ademamix", "lion", "prodigy", "soap"),
    },
    "seqbench-rocket": {"model": ("rocket",)},
    "seqbench-s5": {"model": ("s5",)},
    "seqbench-tcn": {"model": ("tcn",)},
    "seqbench-torchmetrics": {
        "metric": tuple(
            f"torchmetrics.{name}"
            for name in (
                "AUROC",
                "Accuracy",
                "AveragePrecision",
                "CalibrationError",
                "CohenKappa",
                "ConcordanceCorrCoef",
                "ExplainedVariance",
                "F1Score",
                "HammingDistance",
                "HingeLoss",
                "JaccardIndex",
                "KendallRankCorrCoef",
                "LogCoshError",
                "MatthewsCorrCoef",
                "MeanAbsolutePercentageError",
                "MeanSquaredLogError",
                "PearsonCorrCoef",
                "Precision",
                "R2Score",
                "Recall",
                "RelativeSquaredError",
                "SpearmanCorrCoef",
                "Specificity",
                "SymmetricMeanAbsolutePercentageError",
                "WeightedMeanAbsolutePercentageError",
            )
        )
    },
    "seqbench-transformer": {"model": ("transformer",)},
    "seqbench-xlstm": {"model": ("xlstm",)},
}

REPOSITORY = "https://github.com/seqbench/seqbench"


def package_with(kind: str, name: str) -> str:
    """The package of the zoo that offers ``name``, or ``""``."""
    found = (package for package, offers in PACKAGES.items() if name in offers.get(kind, ()))
    return next(found, "")


def names(kind: str) -> list[str]:
    """Everything of one kind that the zoo offers."""
    return sorted(name for offers in PACKAGES.values() for name in offers.get(kind, ()))


def install_command(package: str) -> str:
    """The command that installs a package, from this checkout or from the repository."""
    folder = Path(seqbench.__file__).parent.parent / "plugins" / "zoo" / package
    if not (folder / "pyproject.toml").is_file():
        url = f"{package} @ git+{REPOSITORY}#subdirectory=plugins/zoo/{package}"
        return f"python -m pip install {shlex.quote(url)}"
    return f"python -m pip install {shlex.quote(str(folder))}"
