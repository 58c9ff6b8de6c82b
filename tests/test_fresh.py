"""Training sequences that are generated during training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqbench.errors import DataError, NotPrepared
from seqbench.plugins.choice import Choice
from seqbench.training.batches import batches_of
from seqbench.training.data import _store, open_splits, prepared_path
from seqbench.training.data_checks import checked_splits
from seqbench.training.fresh import FreshSplit, stream_seed
from seqbench.training.loop import train_model
from seqbench.training.model import build_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split_checks import Flaw
from seqbench.types import Fresh, Splits, Task

TASK = Task("tokens", 9, "label", 2, 6)
DATA = Choice("toy", {}, f"{__name__}:load", "toy-package", "1.2")
CPU = torch.device("cpu")
SETTINGS = {
    "epochs": 3, "batch_size": 4, "optimizer": {"name": "adam", "params": {"lr": 0.01}},
    "schedule": None, "clip_norm": None,
}  # fmt: skip

calls: list[tuple[int, int]] = []
noise = 0


def draw(seed: int, count: int, longest: int = 6) -> tuple[Any, Any]:
    calls.append((seed, count))
    random = np.random.RandomState(seed)
    lengths = random.randint(1, longest + 1, size=count)
    x = [random.randint(0, 9, size=n) for n in lengths]
    return x, np.array([one.sum() % 2 for one in x])


def random(seed: int, count: int) -> tuple[Any, Any]:
    global noise
    noise += 1
    return draw(seed + noise, count)


def fewer(seed: int, count: int) -> tuple[Any, Any]:
    return draw(seed, count - 1)


def prepared(path: str = f"{__name__}:draw", **fresh: Any) -> PreparedSplits:
    train = Fresh(path, **{"size": 10, **fresh})
    return checked_splits(Splits(TASK, train, draw(1, 5), draw(2, 5)), DATA)


def batches(splits: PreparedSplits, seed: int, **settings: Any) -> list[Any]:
    found = batches_of(splits, {**SETTINGS, **settings}, device=CPU, seed=seed)
    return [[batch.inputs.tolist() for batch in found.epoch()] for _ in range(2)]


def test_every_step_has_new_sequences_that_depend_on_the_seeds_and_the_step_only() -> None:
    one = batches(prepared(), seed=0)
    assert [len(batch) for batch in one[0]] == [4, 4, 2]
    assert one == batches(prepared(), seed=0)
    assert one[0] != one[1]
    assert one != batches(prepared(), seed=1) != batches(prepared(seed=1), seed=1)
    assert [len(batch) for batch in batches(prepared(), seed=0, drop_last=True)[0]] == [4, 4]


def test_stream_seeds_never_change() -> None:
    assert [stream_seed(0, 0, 0), stream_seed(0, 0, 1), stream_seed(0, 1, 0)] == STREAM


#: Of NumPy's SeedSequence, which guarantees them.
STREAM = [2968811710, 3831201730, 3964924996]


def test_it_comes_back_from_the_file_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = prepared_path(DATA, tmp_path)
    path.parent.mkdir()
    monkeypatch.setattr("seqbench.training.data.check_unchanged", lambda choice: None)
    _store(prepared(size=12, parameters={"longest": 4}), DATA, path)
    opened = open_splits(path)
    assert isinstance(opened.train, FreshSplit)
    assert opened.train.parameters == {"longest": 4}
    gru = "seqbench_builtin.recurrent.layers:gru"
    params = {
        "hidden_size": 4, "num_layers": 1, "bidirectional": False, "dropout": 0.0,
        "readout": "last", "embedding_size": 3,
    }  # fmt: skip
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        model = build_model(Choice("gru", params, gru, "seqbench", "1", kind="encoder"), TASK)
        trained = train_model(model, opened, SETTINGS, device=CPU, seed=5)
        found.append((model.state_dict(), trained))
    assert found[0][1].metrics["steps"] == 9
    assert all(torch.equal(found[0][0][name], found[1][0][name]) for name in found[0][0])


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        ({"path": f"{__name__}:random"}, "other sequences for the same seed"),
        ({"path": "no path"}, "train.draw is 'no path', not of the form"),
        ({"path": "os:system"}, "'os:system', not of the package of"),
        ({"size": 0}, "train.size is 0, not an integer of at least 1"),
        ({"seed": -1}, "train.seed is -1, not an integer of at least 0"),
        ({"parameters": {"longest": {1}}}, "train.parameters is not plain data"),
    ],
)
def test_a_flaw_is_named(fresh: dict[str, Any], words: str) -> None:
    with pytest.raises(Flaw, match=words):
        prepared(**fresh)


def test_a_wrong_draw_during_training_names_package_and_step() -> None:
    splits = prepared()
    assert isinstance(splits.train, FreshSplit)
    for path, params, words in (
        (f"{__name__}:fewer", {}, "returned 3 sequences, not 4"),
        (f"{__name__}:draw", {"longest": 60}, r"steps, but task.length is 6"),
    ):
        wrong = dataclasses.replace(splits.train, draw_path=path, parameters=params)
        with pytest.raises(DataError, match=words) as caught:
            wrong.draw(0, 7, 4)
        assert "'toy' of toy-package 1.2: " in str(caught.value)
        assert "step 7 of seed 0" in str(caught.value)


def test_a_file_that_names_other_code_is_not_read(tmp_path: Path) -> None:
    """Anyone who may write to a shared cache could otherwise run code of their choice."""
    path = prepared_path(DATA, tmp_path)
    path.parent.mkdir()
    splits = prepared()
    assert isinstance(splits.train, FreshSplit)
    other = dataclasses.replace(splits.train, draw_path="os:system")
    _store(dataclasses.replace(splits, train=other), DATA, path)
    with pytest.raises(NotPrepared, match="os:system is not of the package of"):
        open_splits(path)
    evil = Choice("toy", {}, "os:load", "toy-package", "1.1")
    other = dataclasses.replace(splits.train, draw_path="os:system", dataset=evil)
    _store(dataclasses.replace(splits, train=other), DATA, path)
    with pytest.raises(NotPrepared, match="its fresh sequences are of another dataset"):
        open_splits(path)


def test_settings_for_stored_sequences_are_refused() -> None:
    for given in ({"batches": "one_length"}, {"shuffle": False}):
        with pytest.raises(DataError, match="is for stored sequences, and those of this dataset"):
            batches(prepared(), seed=0, **given)
