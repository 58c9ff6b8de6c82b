from importlib.metadata import version
from pathlib import Path

import numpy
from aeon import datasets
from aeon.benchmarking.resampling import resample_data, stratified_resample_data

import seqbench
from seqbench.errors import DataError


def load(context, *, name, seed, validation, normalise):
    """A set from the files of the installed aeon: their training and test split, or a resample.

    Raises:
        DataError: aeon lacks the set, values are missing, or nothing is left for training.
    """
    (x, y), (test_x, test_y) = read(name, "TRAIN"), read(name, "TEST")
    values = y.dtype.kind == "f"  # aeon reads classes as text
    if seed is not None:
        deal = resample_data if values else stratified_resample_data
        x, y, test_x, test_y = deal(x, y, test_x, test_y, random_state=seed)
    kept, held_out = set_aside(y, validation, name)
    center, scale = statistics([x[i] for i in kept]) if normalise == "z" else (0, 1)
    classes = () if values else tuple(numpy.unique([*y, *test_y]).tolist())
    lengths = {len(one) for one in x + test_x}

    def split(x, y, chosen):
        inputs = [((x[i] - center) / scale).astype(numpy.float32) for i in chosen]
        targets = numpy.float32(y[:, None]) if values else numpy.searchsorted(classes, y)
        return inputs if len(lengths) > 1 else numpy.stack(inputs), targets[chosen]

    task = seqbench.Task(
        "features", input_size=x[0].shape[1], target="value" if values else "label",
        output_size=len(classes) or 1, length=max(lengths), class_names=classes,
    )  # fmt: skip
    return seqbench.Splits(
        task,
        train=split(x, y, kept),
        test=split(test_x, test_y, numpy.arange(len(test_x))),
        validation=split(x, y, held_out) if validation else None,
    )


def read(name, part):
    """Sequences (time, channels), and the class, as text, or value of each."""
    path = Path(datasets.__file__).parent / "data" / name / f"{name}_{part}.ts"
    if not path.is_file():
        raise DataError(f"{name} is not part of aeon {version('aeon')}: install aeon 1.6")
    x, y = datasets.load_from_ts_file(str(path))
    if missing := sum(not numpy.isfinite(one).all() for one in x):
        raise DataError(f"{path.name}: {missing} of {len(x)} sequences have missing values, "
                        "which a model cannot read: choose another set")  # fmt: skip
    return [one.T for one in x], y  # aeon has (channels, time)


def set_aside(y, size, name):
    """Indices (kept, set aside), in proportion to the classes or along the range of values."""
    if size >= len(y):
        raise DataError(
            f"validation: {size} leaves none of the {len(y)} training sequences of {name}"
        )
    order = numpy.random.RandomState(20170825).permutation(len(y))
    order = order[numpy.argsort(y[order], kind="stable")]  # random within each class
    chosen = order[numpy.arange(size) * len(y) // max(size, 1)]  # evenly spaced
    return numpy.setdiff1d(order, chosen), numpy.sort(chosen)


def statistics(x):
    """Mean and standard deviation of each channel over all steps; 1 if the channel is constant."""
    steps = numpy.concatenate(x)
    return steps.mean(0), numpy.where(numpy.ptp(steps, 0) > 0, steps.std(0), 1)
