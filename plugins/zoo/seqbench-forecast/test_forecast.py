import pytest
from seqbench_forecast import windows

from seqbench.errors import DataError
from seqbench.testing import conformance

test_conformance = conformance("forecast")


def test_splits_are_by_time():
    for series, size, first, start, middle, mean, deviation in (
        ("sunspots", 2188 - 107 - 108, 96, 2188, 2500, 45.2433, 37.3103),  # not February 1824
        ("co2", 50 + 383 + 297 + 63, 169, 1598, 1827, 330.7596, 10.7209),  # of 4 whole stretches
        ("elnino", 512 - 107, 96, 512, 585, 22.9877, 2.2278),
    ):
        values = windows.read_series(series)
        splits = windows.load(None, series=series, length=96, horizon=12, stride=1)
        ends = {"train": (first, start), "validation": (start, middle), "test": (middle, None)}
        assert len(splits.train[0]) == size
        for split, (begin, end) in ends.items():
            x, y = getattr(splits, split)
            targets = y * deviation + mean
            assert targets[0] == pytest.approx(values[begin : begin + 12], abs=0.01)
            assert targets[-1] == pytest.approx(values[:end][-12:], abs=0.01)
        assert (x[12:, -12:, 0] == y[:-12]).all()  # the inputs are the values before the targets


def test_errors(monkeypatch):
    with pytest.raises(DataError, match="no training window fits into elnino: reduce length"):
        windows.load(None, series="elnino", length=510, horizon=3, stride=1)
    monkeypatch.setitem(windows.FILES, "co2", ("co2.csv", "0"))
    with pytest.raises(DataError, match=r"co2\.csv with SHA-256 0.*; found: SHA-256 16.*; install"):
        windows.read_series("co2")
