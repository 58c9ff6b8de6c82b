"""``seeds: {init: …, data: …}``: first weights and order of the data, varied apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from suite_registry import REGISTRY
from test_suite import TINY, parse

from seqbench.errors import SuiteError
from seqbench.plan.expand import make_plan
from seqbench.plan.of_suite import plan_suite
from seqbench.suite.files import suite_from_text
from seqbench.suite.selection import Selection


def planned(text: str) -> Any:
    return make_plan(parse(f"{TINY}{text}\n"), REGISTRY)


def test_one_kind_of_seed_varies_and_the_other_is_a_setting() -> None:
    found = planned("seeds: {init: 3, data: [7]}")
    assert [trial.seed for trial in found.trials] == [0, 1, 2]
    assert found.cases[0].train["data_seed"] == 7
    assert "init_seed" not in found.cases[0].train
    other = planned("seeds: {init: [5], data: [1, 2]}")
    assert [trial.seed for trial in other.trials] == [1, 2]
    assert other.cases[0].train["init_seed"] == 5
    usual = planned("seeds: 3")
    assert not {"init_seed", "data_seed"} & set(usual.cases[0].train)
    assert len({one.cases[0].id for one in (found, other, usual)}) == 3


@pytest.mark.parametrize(
    ("given", "asked", "seeds", "held"),
    [
        ("{init: 3, data: [7]}", 5, [0, 1, 2, 3, 4], {"data_seed": 7}),
        ("{init: [5], data: 3}", 2, [0, 1], {"init_seed": 5}),
        ("{init: [5], data: 3}", 1, [0], {"init_seed": 5}),
        ("{init: 1, data: [2]}", 2, [0, 1], {"data_seed": 2}),
        ("3", 2, [0, 1], {}),
    ],
)
def test_the_option_seeds_keeps_the_held_kind(
    given: str, asked: int, seeds: list[int], held: dict[str, int]
) -> None:
    file = suite_from_text(f"{TINY}seeds: {given}\n", "suite.yaml")
    before, now = (plan_suite(file, Selection(seeds=n), REGISTRY) for n in (None, asked))
    assert [trial.seed for trial in now.trials] == seeds
    found = {key: n for key, n in now.cases[0].train.items() if key in ("init_seed", "data_seed")}
    assert found == held
    assert now.cases[0].id == before.cases[0].id  # so that a resume keeps the trials


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seeds: {init: 2, data: 2}", "seeds: init and data both have several seeds: only one"),
        ("seeds: {init: 2}", "seeds: needs the keys init and data (as in {init: 5, data: [0]})"),
        ("seeds: {init: 2, data: [0], order: 1}", "seeds.order: unknown key 'order'"),
        ("seeds: {init: x, data: [0]}", "seeds.init: must be a whole number or a list of whole"),
        ("seeds: {init: 2, data: [-1]}", "seeds.data.0: must be at least 0, not -1"),
        ("train: {data_seed: 1}\nseeds: {init: 2, data: [0]}", "seeds.data is also given: leave"),
        ("seeds: {init: [0], data: 2}\ntrain: {shuffle: false}", "with shuffle, and init_seed is"),
        ("seeds: {init: [0], data: 2}\ntrain: {carry_state: true}", "with carry_state, and init"),
        ("train: {data_seed: 1, init_seed: 1}", "then all seeds would give the same trial"),
    ],
)
def test_what_is_wrong_is_reported(text: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse(f"{TINY}{text}\n")
    assert words in str(caught.value)


def test_a_run_of_each_kind(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    def run(seeds: str) -> dict[int, Any]:
        text = f"""
            name: apart
            datasets: [{{parity: {{length: 3, train_size: 200, test_size: 60}}}}]
            models: [gru: {{hidden_size: 4}}]
            train: {{epochs: 1, batch_size: 50}}
            seeds: {seeds}
            measure: [accuracy]
            """
        done = seqbench_cli("run", write_suite(text))
        assert done.returncode == 0, done.stderr
        document = json.loads(seqbench_cli("show", "--format", "json").stdout)
        return {
            trial["seed"]: (trial["initial"], trial["metrics"]["train_loss"])
            for trial in document["trials"]
        }

    def warned() -> bool:
        return "started from the same weights" in seqbench_cli("show").stdout

    both, init = run("[0, 1]"), run("{init: [0, 1], data: [0]}")
    data = run("{init: [0], data: [0, 1]}")
    assert not warned()  # it is what the suite asks for
    assert both[0] == init[0] == data[0]
    initial = {name: [one[seed][0] for seed in (0, 1)]
               for name, one in (("both", both), ("init", init), ("data", data))}  # fmt: skip
    assert initial["both"] == initial["init"]
    assert initial["data"] == [both[0][0]] * 2
    assert len({found[1][1] for found in (both, init, data)}) == 3
