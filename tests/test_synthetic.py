"""The generated datasets keep their definitions, for any parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqbench_builtin import synthetic
from seqbench_builtin.synthetic import tasks
from small_splits import pair_of

from seqbench import DataContext, Splits
from seqbench.plugins.parameters import completed, problem_with

CONTEXT = DataContext(None, Path(), lambda text: None)
SPECS = {spec.name: spec for spec in synthetic.seqbench_datasets()}

sizes = st.fixed_dictionaries(
    {
        "length": st.integers(2, 40),
        "train_size": st.integers(1, 60),
        "validation_size": st.integers(0, 20),
        "test_size": st.integers(1, 20),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def pairs(splits: Splits) -> list[tuple[torch.Tensor, torch.Tensor]]:
    found = (splits.train, splits.test, splits.validation)
    return [pair_of(split) for split in found if split is not None]


@settings(deadline=None, max_examples=50)
@given(sizes)
def test_adding(params: dict[str, Any]) -> None:
    splits = tasks.adding(CONTEXT, **params)
    length, half = params["length"], params["length"] // 2
    assert len(pair_of(splits.train)[0]) == params["train_size"]
    assert (splits.validation is None) == (params["validation_size"] == 0)
    for x, y in pairs(splits):
        assert x.shape == (len(y), length, 2)
        assert y.shape == (len(x), 1)
        assert x.dtype == y.dtype == torch.float32
        numbers, marks = x.unbind(dim=2)
        assert bool(((numbers >= 0) & (numbers < 1)).all())
        assert bool(((marks == 0) | (marks == 1)).all())
        assert marks[:, :half].sum(dim=1).tolist() == [1.0] * len(x)
        assert marks[:, half:].sum(dim=1).tolist() == [1.0] * len(x)
        torch.testing.assert_close((numbers * marks).sum(dim=1, keepdim=True), y)


@settings(deadline=None, max_examples=50)
@given(sizes)
def test_parity(params: dict[str, Any]) -> None:
    splits = tasks.parity(CONTEXT, **params)
    for x, y in pairs(splits):
        assert x.shape == (len(y), params["length"])
        assert x.dtype == y.dtype == torch.int64
        assert bool(((x == 0) | (x == 1)).all())
        assert y.tolist() == [sum(row) % 2 for row in x.tolist()]


@settings(deadline=None, max_examples=20)
@given(sizes, st.sampled_from([tasks.adding, tasks.parity]))
def test_pure_and_independent_of_the_other_sizes(params: dict[str, Any], load: Any) -> None:
    one, two = load(CONTEXT, **params), load(CONTEXT, **params)
    for a, b in zip(pairs(one), pairs(two), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    larger = load(CONTEXT, **{**params, "train_size": params["train_size"] + 1})
    assert torch.equal(pair_of(larger.test)[0], pair_of(one.test)[0])


@pytest.mark.parametrize("load", [tasks.adding, tasks.parity])
def test_splits_and_seeds_differ(load: Any) -> None:
    params = {"length": 30, "train_size": 50, "validation_size": 50, "test_size": 50}
    drawn = [x for seed in (0, 1) for x, _ in pairs(load(CONTEXT, **params, seed=seed))]
    for i, x in enumerate(drawn):
        assert not any(torch.equal(x, other) for other in drawn[i + 1 :])


def test_adding_is_as_hard_as_it_should_be() -> None:
    params = completed({"train_size": 20_000}, SPECS["adding"].parameters)
    _, y = pair_of(tasks.adding(CONTEXT, **params).train)
    assert float(y.mean()) == pytest.approx(1, abs=0.02)
    assert float(((y - 1) ** 2).mean()) == pytest.approx(1 / 6, abs=0.01)


def test_parity_is_balanced() -> None:
    splits = tasks.parity(CONTEXT, **completed({}, SPECS["parity"].parameters))
    assert float(pair_of(splits.train)[1].double().mean()) == pytest.approx(0.5, abs=0.03)
    assert splits.task.class_names == ("even", "odd")


def test_the_same_data_for_ever() -> None:
    """A change here changes every published figure: raise the version and say so."""
    params = {"length": 4, "train_size": 2, "validation_size": 1, "test_size": 1, "seed": 0}
    adding, parity = tasks.adding(CONTEXT, **params), tasks.parity(CONTEXT, **params)
    assert pair_of(parity.train)[0].tolist() == [[1, 1, 1, 0], [0, 0, 1, 1]]
    torch.testing.assert_close(
        pair_of(adding.train)[1], torch.tensor([[0.0977], [0.3514]]), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [("adding", "length", 1), ("parity", "length", 0), ("adding", "seed", -1)],
)
def test_parameters_out_of_range_are_refused_before_loading(
    name: str, parameter: str, value: int
) -> None:
    assert problem_with(value, SPECS[name].parameters[parameter])
