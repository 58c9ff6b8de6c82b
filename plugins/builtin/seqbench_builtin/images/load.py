"""Images as sequences: decoding, the validation split, and the views."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any, cast

import numpy
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor

from seqbench import DataContext, Splits, Task
from seqbench.errors import DataError
from seqbench_builtin.images import sources
from seqbench_builtin.images.catalog import FASHION_MNIST, KMNIST, MNIST, Collection
from seqbench_builtin.images.idx import CLASSES

SIDE = 28
PIXELS = SIDE * SIDE

#: Seed of the validation split, which is the same in every trial.
VALIDATION_SEED = 20170825

Indices = NDArray[numpy.int64]


def fashion_mnist(context: DataContext, *, view: str, validation: int, permute: Any) -> Splits:
    """Fashion-MNIST; see :func:`load`."""
    return load(FASHION_MNIST, context, view, validation, permute)


def mnist(context: DataContext, *, view: str, validation: int, permute: Any) -> Splits:
    """MNIST; see :func:`load`."""
    return load(MNIST, context, view, validation, permute)


def kmnist(context: DataContext, *, view: str, validation: int, permute: Any) -> Splits:
    """Kuzushiji-MNIST; see :func:`load`."""
    return load(KMNIST, context, view, validation, permute)


def load(
    collection: Collection, context: DataContext, view: str, validation: int, permute: Any
) -> Splits:
    """Load a collection as sequences of pixels in [0, 1].

    Args:
        context: the folders to search and to download to.
        view: ``"rows"`` or ``"columns"``: (n, 28, 28); ``"pixels"``: (n, 784, 1), row by row.
        validation: number of training images held out, stratified by class.
        permute: seed of a fixed permutation of the pixels, only for ``"pixels"``, or ``None``.

    Raises:
        DataError: the images are unavailable, torchvision does not work, or a parameter is invalid.
    """
    order = _order_of_pixels(view, permute)
    dataset_class = torchvision_class(collection)
    contents = sources.obtain(collection, dataset_class, context)
    (images, labels), (test_images, test_labels) = _decoded(contents, dataset_class, context)
    kept, held_out = stratified(labels.numpy(), validation)

    def split(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return as_sequences(images, view, order), labels

    return Splits(
        _task(view, tuple(dataset_class.classes)),
        train=split(images[kept], labels[kept]),
        test=split(test_images, test_labels),
        validation=split(images[held_out], labels[held_out]) if validation else None,
    )


def torchvision_class(collection: Collection) -> Any:
    """The collection's class in ``torchvision.datasets``.

    Raises:
        DataError: torchvision cannot be imported, for example if it does not match torch.
    """
    try:
        datasets = importlib.import_module("torchvision.datasets")
        return getattr(datasets, collection.torchvision_class)
    except Exception as error:  # a mismatch raises RuntimeError, OSError, AttributeError, …
        reason = " ".join(str(error).split())
        raise DataError(
            f"{collection.title} is decoded with torchvision, but torchvision "
            f"{_version('torchvision')} does not work with torch {_version('torch')} "
            f"({type(error).__name__}: {reason}); install matching versions, for example with "
            "'pip install --upgrade torch torchvision'"
        ) from error


def stratified(labels: NDArray[Any], size: int) -> tuple[Indices, Indices]:
    """Indices (kept, held out), ascending, with ``size`` held out in proportion to the classes.

    Rounded by the largest remainder. Depends only on the arguments.

    Raises:
        DataError: no training images would be left.
    """
    if size >= len(labels):
        raise DataError(
            f"validation: {size} leaves none of the {len(labels)} training images for training"
        )
    counts = numpy.bincount(labels, minlength=CLASSES).astype(numpy.int64)
    shares, remainders = numpy.divmod(size * counts, len(labels))
    largest = numpy.argsort(-remainders, kind="stable")[: size - int(shares.sum())]
    shares[largest] += 1
    # RandomState, since NumPy has promised never to change its streams.
    random = RandomState(VALIDATION_SEED)
    chosen = [
        random.permutation(numpy.flatnonzero(labels == label))[:share]
        for label, share in enumerate(shares)
    ]
    held = numpy.zeros(len(labels), dtype=bool)
    held[numpy.concatenate(chosen)] = True
    return numpy.flatnonzero(~held), numpy.flatnonzero(held)


def as_sequences(images: Tensor, view: str, order: Tensor | None = None) -> Tensor:
    """(n, 28, 28) bytes as (n, time, features) float32 in [0, 1]; ``order``: of the pixels."""
    x = images.to(torch.float32).div_(255)
    if view == "columns":
        return x.transpose(1, 2).contiguous()
    if view == "pixels":
        x = x.reshape(len(x), PIXELS, 1)
        return x if order is None else x[:, order]
    return x


def _order_of_pixels(view: str, permute: Any) -> Tensor | None:
    if permute is None:
        return None
    if type(permute) is not int or not 0 <= permute < 2**32:
        raise DataError(f"permute: {permute!r} is neither a seed (a whole number from 0) nor null")
    if view != "pixels":
        raise DataError(
            f"permute needs 'view: pixels', not {view!r}, since it permutes single pixels"
        )
    return torch.from_numpy(RandomState(permute).permutation(PIXELS))


def _decoded(
    contents: sources.Contents, dataset_class: Any, context: DataContext
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Images (n, 28, 28) uint8 and labels (n,) int64 of the training and of the test set."""
    with sources.unfinished_folder(context) as root:
        raw = root / dataset_class.__name__ / "raw"
        raw.mkdir(parents=True)
        for name, content in contents.items():
            (raw / name).write_bytes(content)
        train, test = (dataset_class(str(root), train=flag) for flag in (True, False))
    return (
        (cast(Tensor, train.data), cast(Tensor, train.targets)),
        (cast(Tensor, test.data), cast(Tensor, test.targets)),
    )


def _task(view: str, class_names: tuple[str, ...]) -> Task:
    pixels = view == "pixels"
    return Task(
        input="features",
        input_size=1 if pixels else SIDE,
        target="label",
        output_size=CLASSES,
        length=PIXELS if pixels else SIDE,
        class_names=class_names,
    )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError, TypeError, KeyError):
        return "(not installed)"
