import hashlib
import re
from importlib import metadata
from pathlib import Path

import numpy

from seqbench import Splits, Task
from seqbench.errors import DataError

FILES = {  # public domain, in statsmodels/datasets/SERIES; each with 160 bits of its SHA-256
    "sunspots": ("src/sunspots_monthly.dat", "cc303d26340b6d599bc2878899f8c50c12323dc0"),
    "co2": ("co2.csv", "16695fa2786e53414e5a6b54767a3fdf5de99cfb"),
    "elnino": ("elnino.csv", "b647be00e0fd264be9764e317e6b963f35030014"),
}


def load(context, *, series, length, horizon, stride):
    """The next values of a series, (n, horizon), after those before them, (n, length, 1).

    The last 20 % of the series are the targets of the test, the 10 % before them the targets of
    validation, and no training window reaches into either. All values are standardized by mean and
    standard deviation of the first 70 %: errors are in units of that deviation. Windows with a
    missing value are left out. Raises DataError if a split has none, or the series is unavailable.
    """
    values = read_series(series)
    start, middle = len(values) * 7 // 10, len(values) * 8 // 10

    def split(name, first, last):
        starts = range(first, last - length - horizon + 1, stride)
        windows = [values[at : at + length + horizon] for at in starts]
        windows = [window for window in windows if not numpy.isnan(window).any()]
        if not windows:
            raise DataError(f"no {name} window fits into {series}: reduce length or horizon")
        scaled = (windows - numpy.nanmean(values[:start])) / numpy.nanstd(values[:start])
        return scaled[:, :length, None].astype("float32"), scaled[:, length:].astype("float32")

    train, test = split("training", 0, start), split("test", middle - length, len(values))
    validation = split("validation", start - length, middle)
    return Splits(Task("features", 1, "value", horizon, length), train, test, validation)


def read_series(series):
    """The values in order, (n,) float64; NaN if missing."""
    name, digest = FILES[series]
    file = f"statsmodels/datasets/{series}/{name}"
    try:
        content = Path(metadata.distribution("statsmodels").locate_file(file)).read_bytes()
        found = f"SHA-256 {hashlib.sha256(content).hexdigest()}"
    except (ImportError, OSError) as error:
        found = str(error)
    if not found.startswith(f"SHA-256 {digest}"):
        install = "install it with: python -m pip install statsmodels==0.15.0"
        raise DataError(f"{series} needs {file} with SHA-256 {digest}…; found: {found}; {install}")
    rows = re.findall(r"^\d{4,8}[ ,]+(.*)$", content.decode(), re.MULTILINE)  # after the date
    values = [float(number or "nan") for row in rows for number in re.split("[ ,]+", row.strip())]
    if series == "sunspots":
        values[12 * (1824 - 1749) + 1] = numpy.nan  # February 1824 is interpolated, says the file
    return numpy.array(values)
