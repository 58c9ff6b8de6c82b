from pathlib import Path

import numpy
import pytest
from aeon import datasets
from seqbench_aeon import NAMES, series

from seqbench.errors import DataError
from seqbench.testing import conformance

test_equal = conformance("aeon", name="BasicMotions", normalise="z", validation=8)
test_unequal = conformance("aeon", validation=27)
test_values = conformance("aeon", name="CardanoSentiment", validation=14)
test_resampled = conformance("aeon", seed=3, validation=27)


def load(name="JapaneseVowels", seed=None, validation=0, normalise="none"):
    return series.load(None, name=name, seed=seed, validation=validation, normalise=normalise)


def sequences(split):
    """Each sequence with its target, as bytes."""
    return [x.tobytes() + y.tobytes() for x, y in zip(*split, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_what_aeon_reads_and_declares(name):
    splits = load(name)
    task, folder = splits.task, Path(datasets.__file__).parent / "data" / name
    for part, (x, y) in {"TRAIN": splits.train, "TEST": splits.test}.items():
        path = str(folder / f"{name}_{part}.ts")
        theirs, answers, facts = datasets.load_from_ts_file(path, return_meta_data=True)
        assert all(numpy.array_equal(a.T, b.astype("f")) for a, b in zip(x, theirs, strict=True))
        assert isinstance(x, list) is not facts["equallength"]
        assert (task.input_size == 1) is facts["univariate"]
        assert task.class_names == tuple(sorted(facts["class_values"]))
        mine = numpy.array(task.class_names)[y] if facts["classlabel"] else y[:, 0]
        assert numpy.array_equal(mine, answers.astype(mine.dtype))


@pytest.mark.parametrize("name", NAMES)
def test_a_resample_deals_out_the_same_sequences_again(name):
    whole, found, other = load(name), load(name, seed=1), load(name, seed=2)
    everything = sorted(sequences(whole.train) + sequences(whole.test))
    assert sorted(sequences(found.train) + sequences(found.test)) == everything
    assert sequences(found.train) == sequences(load(name, seed=1).train)
    trained = [sorted(sequences(each.train)) for each in (whole, found, other)]
    assert trained[0] != trained[1] != trained[2] != trained[0]
    assert found.task == whole.task
    for one, same in ((found.train, whole.train), (found.test, whole.test)):
        assert len(one[1]) == len(same[1])
        if whole.task.target == "label":
            assert numpy.array_equal(numpy.bincount(one[1]), numpy.bincount(same[1]))


def test_a_resample_is_drawn_from_the_random_state_of_its_seed():
    """Of each class as many as before, after a shuffle of its sequences in both files."""
    whole, found = load("GunPoint"), load("GunPoint", seed=7)
    labels = numpy.concatenate([whole.train[1], whole.test[1]])
    everything = numpy.concatenate([whole.train[0], whole.test[0]])
    random, train = numpy.random.RandomState(7), []
    for label, count in enumerate(numpy.bincount(whole.train[1])):
        own = numpy.flatnonzero(labels == label)
        random.shuffle(own)
        train.extend(own[:count])
    assert numpy.array_equal(found.train[0], everything[train])
    values, dealt = load("CardanoSentiment"), load("CardanoSentiment", seed=7)
    order = numpy.arange(74 + 33)
    numpy.random.RandomState(7).shuffle(order)
    targets = numpy.concatenate([values.train[1], values.test[1]])
    assert numpy.array_equal(dealt.test[1], targets[order[74:]])


def test_validation_is_stratified_and_z_is_of_the_sequences_left():
    splits = load(validation=27, normalise="z")
    (x, y), (held_out, labels) = splits.train, splits.validation
    assert numpy.bincount(labels).tolist() == [3] * 9
    assert numpy.bincount(y).tolist() == [27] * 9
    steps = numpy.concatenate(x).astype(float)
    assert numpy.allclose(steps.mean(0), 0, atol=1e-5)
    assert numpy.allclose(steps.std(0), 1)
    assert len({one.tobytes() for one in x + held_out}) == 270


def test_what_cannot_be_loaded_is_refused(monkeypatch):
    with pytest.raises(DataError, match=r"270 leaves none of the 270 training sequences of Jap"):
        load(validation=270)
    with pytest.raises(DataError, match=r"Chinatown is not part of aeon 1\.\d"):
        load("Chinatown")
    monkeypatch.setattr(datasets, "load_from_ts_file", lambda path: ([[[numpy.nan]]], None))
    with pytest.raises(DataError, match=r"UnitTest_TRAIN.ts: 1 of 1 sequences have missing val"):
        load("UnitTest")
