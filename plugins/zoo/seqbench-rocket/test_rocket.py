import os

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # as in the workers of a run

import numpy
import pytest
from aeon.classification.convolution_based import MiniRocketClassifier, RocketClassifier
from aeon.datasets import load_gunpoint
from seqbench_rocket.transform import rocket

from seqbench.testing import conformance

test_rocket = conformance("rocket", kernels=500)
test_minirocket = conformance("rocket", kernels=84, variant="minirocket")


@pytest.mark.parametrize(
    ("variant", "published"), [("rocket", RocketClassifier), ("minirocket", MiniRocketClassifier)]
)
def test_it_answers_as_the_classifier_of_aeon(variant, published):
    (x, y), (test_x, test_y) = load_gunpoint(split="train"), load_gunpoint(split="test")
    y, test_y = y.astype(int) - 1, test_y.astype(int) - 1
    mine = rocket(None, seed=3, kernels=500, variant=variant)
    mine.fit(x.transpose(0, 2, 1).astype("f"), y)
    found = mine.predict(test_x.transpose(0, 2, 1).astype("f"))
    theirs = published(n_kernels=500, random_state=3).fit(x.astype("f"), y)
    assert numpy.array_equal(found, theirs.predict(test_x.astype("f")))
    assert (found == test_y).mean() > 0.95
    assert not hasattr(mine, "predict_proba")
