import numpy
import pytest
from seqbench_charlm import text

from seqbench.errors import DataError
from seqbench.testing import conformance

test_conformance = conformance("char_lm")


def test_every_character_but_the_first_is_predicted_once():
    splits = text.load(None, length=100, characters=4_138_497, validation=0.05, test=0.05)
    names = ["\n", " ", *splits.task.class_names[2:-1], "?"]  # of newline, space, …, unknown
    written = "I"
    for name, full, rest in (("train", 37_246, 48), ("validation", 2069, 24), ("test", 2069, 24)):
        x, y = getattr(splits, name)
        assert [*map(len, x)] == [*map(len, y)] == [100] * full + [rest]
        assert (numpy.concatenate(x)[1:] == numpy.concatenate(y)[:-1]).all()
        written += "".join(names[code] for code in numpy.concatenate(y))
    assert written.startswith("In the beginning God created the heaven and the earth.\nAnd the")
    assert written == text.read_text().replace("[but]", "?but?")  # the brackets are in 1 John only


def test_the_beginning_of_the_text():
    splits = text.load(None, length=50, characters=55, validation=0, test=0.2)
    assert splits.train[0].shape == (1, splits.task.length) == (1, 44)
    assert (splits.test[1].shape, splits.validation) == ((1, 10), None)


@pytest.mark.parametrize(("name", "value"), [("DIGEST", "0"), ("FILE", "no"), ("PACKAGE", "no")])
def test_another_text_is_refused(monkeypatch, name, value):
    monkeypatch.setattr(text, name, value)
    with pytest.raises(DataError, match=r"found: .*; install it with: python -m pip install"):
        text.read_text()
