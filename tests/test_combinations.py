"""Training settings of a suite, a dataset and a model that cannot be combined."""

from __future__ import annotations

import textwrap

import pytest
from test_suite import parse

from seqbench.errors import SuiteError


def problems(text: str) -> str:
    with pytest.raises(SuiteError) as caught:
        parse(textwrap.dedent(text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("suite", "model", "words"),
    [
        ("carry_state: true", "shuffle: false", "2:42: models.1.train.shuffle: carry_state decid"),
        ("carry_state: true", "batches: shuffled", "carry_state decides which sequences make"),
        ("drop_last: true", "carry_state: true", "train.carry_state: carry_state decides which"),
        ("batches: one_length", "drop_last: true", "would leave out rare lengths"),
        ("drop_last: true", "batches: one_length", "models.1.train.batches: batches: one_length"),
        ("epochs: 2", "evaluate_every: 3", "models.1.train.evaluate_every: evaluate_every needs"),
        ("steps: 9", "{epochs: 2, evaluate_every: 3}", "evaluate_every needs steps"),
        ("{steps: 9, evaluate_every: 3}", "steps: null", "models.1.train.steps: evaluate_every"),
        ("{steps: 99, schedule: {cosine: {warmup: 50}}}", "steps: 49",
         "models.1.train.steps: a warmup of 50 steps is longer than the training, which has 49"),
        ("steps: 49", "schedule: {constant: {warmup: 50}}",
         "train.schedule.constant.warmup: a warmup of 50 steps is longer"),
        ("{optimizer: sgd, groups: {'*': {momentum: 0.5}}}", "optimizer: adam",
         "models.1.train.optimizer: adam has no parameter 'momentum'"),
        ("{}", "init_seed: 3", "train.init_seed: can only be set for the whole suite (write it in"),
        ("{}", "data_seed: null", "train.data_seed: can only be set for the whole suite"),
        ("{}", "checkpoint: 1s", "train.checkpoint: can only be set for the whole suite"),
    ],
)  # fmt: skip
def test_a_conflict_is_reported_where_it_arises(suite: str, model: str, words: str) -> None:
    model = model if model.startswith("{") else f"{{{model}}}"
    suite = suite if suite.startswith("{") else f"{{{suite}}}"
    found = problems(
        f"""\
        datasets: [parity]
        models: [gru, {{rnn: {{}}, train: {model}}}]
        train: {suite}
        """
    )
    assert words in found
    assert ":2:" in found  # its line
    assert "\n" not in found.strip()


def test_a_conflict_within_the_suite_is_reported_once_there() -> None:
    found = problems(
        """\
        datasets: [parity, {adding: {}, train: {batch_size: 3}}]
        models: [gru, {rnn: {}, train: {batch_size: 4}}]
        train: {carry_state: true, drop_last: true}
        """
    )
    assert found.count("carry_state decides") == 1
    assert ":3:" in found


def test_only_what_is_combined_must_fit() -> None:
    """Each model gives what the settings of the suite lack, or overrides what they have."""
    parse(
        "datasets: [parity]\nmodels: [{rnn: {}, train: {steps: 9}}]\ntrain: {evaluate_every: 3}\n"
    )
    parse(
        "datasets: [parity]\nmodels: [{rnn: {}, train: {carry_state: true, shuffle: true}}]\n"
        "train: {shuffle: false}\n"
    )


@pytest.mark.parametrize("turn", [1, -1])
def test_a_model_must_fit_every_dataset(turn: int) -> None:
    datasets = ["parity", "{adding: {}, train: {groups: {'*': {momentum: 0.5}}}}"][::turn]
    found = problems(
        f"""\
        datasets: [{", ".join(datasets)}]
        models: [{{rnn: {{}}, train: {{optimizer: adam}}}}]
        train: {{optimizer: sgd}}
        """
    )
    assert "models.0.train.optimizer: adam has no parameter 'momentum'" in found
