"""What a suite may ask of latency, and how a mistake in it is named."""

from __future__ import annotations

from typing import Any

import pytest
from test_suite import TINY, parse

from seqbench.errors import SuiteError


@pytest.mark.parametrize(
    ("given", "key", "found"),
    [
        ("precision: 1.5%", "precision", 0.015),
        ("precision: 0.05", "precision", 0.05),
        ("threads: 2", "threads", (2,)),
        ("threads: [1, all]", "threads", (1, "all")),
        ("threads: all", "threads", ("all",)),
        ("seq_lens: [16, 64]", "seq_lens", (16, 64)),
        ("seq_lens: 20", "seq_lens", (20,)),
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
        ("seq_lens: [0]", "at least 1"),
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
