"""What a suite may ask of latency, and how a mistake in it is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_suite import TINY, parse

from seqbench.errors import SuiteError
from seqbench.measure.payloads import TimingSettings
from seqbench.suite.keys import Lengths


@pytest.mark.parametrize(
    ("given", "key", "found"),
    [
        ("precision: 1.5%", "precision", 0.015),
        ("precision: 0.05", "precision", 0.05),
        ("threads: 2", "threads", (2,)),
        ("threads: [1, all]", "threads", (1, "all")),
        ("threads: all", "threads", ("all",)),
        ("seq_lens: [16, 64]", "seq_lens", Lengths(also=(16, 64))),
        ("seq_lens: 20", "seq_lens", Lengths(also=(20,))),
        ("seq_lens: {also: [20]}", "seq_lens", Lengths(also=(20,))),
        ("seq_lens: {only: [16, 64]}", "seq_lens", Lengths(only=(16, 64))),
        ("seq_lens: {only: 20}", "seq_lens", Lengths(only=(20,))),
        ("seq_lens: as_data", "seq_lens", Lengths(also=("as_data",))),
        ("seq_lens: [16, as_data]", "seq_lens", Lengths(also=(16, "as_data"))),
        ("seq_lens: {only: as_data}", "seq_lens", Lengths(only=("as_data",))),
        ("budget: 1s", "seq_lens", Lengths()),
        ("batch_sizes: 8", "batch_sizes", (8,)),
        ("runtimes: [eager, compile]", "runtimes", ("eager", "compile")),
    ],
)
def test_settings_of_latency(given: str, key: str, found: Any) -> None:
    suite = parse(f"{TINY}measure: {{latency: {{{given}}}}}")
    assert getattr(suite.measure.latency, key) == found


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("precision: wide", "as in 2%"),
        ("precision: 0%", "more than 0"),
        ("precision: 200%", "less than 1"),
        ("precision: true", "must be a fraction"),
        ("threads: some", "or all, not"),
        ("threads: [1, 1]", "duplicate value 1"),
        ("threads: 0", "from 1 to 1,024, or all"),
        ("seq_lens: [0]", "seq_lens.0: must be at least 1"),
        ("seq_lens: {only: [3, 0]}", "seq_lens.only.1: must be at least 1"),
        ("seq_lens: {only: []}", "as in {only: [5]}"),
        ("seq_lens: {onyl: [5]}", "unknown key 'onyl'; did you mean 'only'?"),
        ("seq_lens: {only: [5], also: [6]}", "a list of lengths, or a mapping with the key only"),
        ("seq_lens: [2000000]", "seq_lens.0: must be at most 1,000,000"),
        ("seq_lens: long", "must be a whole number or as_data, not text 'long'"),
        ("seq_lens: [as_datta]", "as_data, not text 'as_datta' (did you mean 'as_data'?)"),
        ("seq_lens: [1.5]", "must be a whole number or as_data"),
        ("seq_lens: [as_data, 5, as_data]", "duplicate value 'as_data'"),
        ("batch_sizes: []", "must not be empty"),
        ("batch_sizes: 0", "at least 1"),
        ("runtimes: [jit]", "unknown runtime 'jit'; available: compile, eager"),
        ("runtimes: [compiled]", "unknown runtime 'compiled'; did you mean 'compile'?"),
        ("runtimes: [eager, seqbench:eager]", "duplicate value 'eager'"),
    ],
)
def test_wrong_settings_of_latency_are_named(given: str, word: str) -> None:
    with pytest.raises(SuiteError) as raised:
        parse(f"{TINY}measure: {{latency: {{{given}}}}}")
    assert given.partition(":")[0] in str(raised.value)
    assert word in str(raised.value)


def test_lengths_are_stored_as_they_are_given() -> None:
    for given, stored in (
        ("[5, 7]", [5, 7]), ("5", [5]), ("{only: [5]}", {"only": [5]}), ("[]", []),
        ("[5, as_data]", [5, "as_data"]), ("{only: as_data}", {"only": ["as_data"]}),
    ):  # fmt: skip
        latency = parse(f"{TINY}measure: {{latency: {{seq_lens: {given}}}}}").measure.latency
        assert latency is not None
        assert latency.model_dump(mode="json")["seq_lens"] == stored


def test_a_resume_recognizes_latencies_from_before_own_lengths_were_added() -> None:
    """With ``seq_lens`` alone, the own length used not to be timed: it is timed again."""
    settings = TimingSettings(
        budget=1.0, batch_sizes=(1,), seq_lens=(5,), threads=(1,), runtimes=("eager",),
        processes=2, warm_up=0.1, precision=0.02, training_step=False, own_length=False,
    )  # fmt: skip
    assert "own_length" not in settings.identity()
    assert replace(settings, own_length=True).identity() != settings.identity()
    plain = replace(settings, seq_lens=(), own_length=True)
    assert "own_length" not in plain.identity()
