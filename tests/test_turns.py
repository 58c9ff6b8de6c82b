"""Contests: figures from samples, comparisons, and when a contest ends."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import install_encoder
from made_documents import shown

from seqbench.measure.latency.comparisons import compare_cases
from seqbench.measure.latency.figures import Samples
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.stats.growth import growth_interval
from seqbench.stats.holm import holm

CELL = {
    "quantity": "latency",
    "batch_size": 1,
    "length": 5,
    "threads": 1,
    "runtime": "eager",
}


def samples(*processes: list[list[int]]) -> Samples:
    """One cell; for each process its rounds, for each round the calls in nanoseconds.

    A first call of one second precedes each round.
    """
    made = Samples()
    for process, rounds in enumerate(processes):
        made.add_process([CELL], {"build_s": 0.25, "load_s": 0.5})
        made.warmed_up(0, {"calls": 4, "steady": True})
        for number, calls in enumerate(rounds):
            made.add_block(0, process, number, [10**9, *calls])
    return made


def test_the_first_call_of_each_block_is_excluded() -> None:
    found = samples([[1000] * 3] * 3, [[1000] * 3] * 3).summary(0)
    assert found["median_s"] == pytest.approx(1e-6)
    assert found["n"] == 18


def test_there_is_no_verdict_that_contradicts_the_medians() -> None:
    """The first is 10 % faster, but the machine slowed down twice while it ran."""
    slow = [[90, 180, 270, 300, 300], [100, 200, 300, 100, 100]]
    fair = [[90, 180, 270, 90, 90], slow[1]]
    verdicts = []
    for times in (slow, fair):
        a, b = (
            samples(*([[1000 * t + 7 * n * (p + n) % 11] * 3 for n, t in enumerate(some)]
                      for p in range(6)))
            for some in times
        )  # fmt: skip
        (found,) = compare_cases({"a": a, "b": b}, {"a": "", "b": ""})
        assert found.effect == pytest.approx(0.9, rel=0.01)
        assert found.p is not None
        assert found.p < 0.05
        verdicts.append(found.verdict)
    assert verdicts == ["no difference", "better"]


def test_a_ratio_by_hand() -> None:
    # Medians of blocks, a: 100, 300 | 400, 200; b: 200, 300 | 200, 200.
    # Ratios of rounds: 1/2, 1 | 2, 1. Logarithms: median per process -ln 2 / 2 and ln 2 / 2.
    a = samples([[100] * 3, [300] * 3], [[400] * 3, [200] * 3])
    b = samples([[90, 200, 900], [300] * 3], [[200] * 3, [200] * 3])
    (found,) = compare_cases({"a": a, "b": b}, {"a": "", "b": ""})
    assert found.effect == pytest.approx(1.0)
    assert found.high is not None
    # s = ln 2 / √2, half width t(0.975, 1) · s / √2 = 12.7062 · ln 2 / 2
    assert found.high == pytest.approx(math.exp(12.7062047 * math.log(2) / 2), rel=1e-6)
    assert found.low == pytest.approx(1 / found.high)
    assert found.verdict == "no difference"
    assert found.n == 2
    assert found.settings == {key: CELL[key] for key in CELL if key != "quantity"}


def test_the_verdict_is_about_the_first_compared_with_the_second() -> None:
    slow = samples(*[[[200 + p] * 3] * 3 for p in range(6)])
    fast = samples(*[[[100 + p] * 3] * 3 for p in range(6)])
    (found,) = compare_cases({"slow": slow, "fast": fast}, {"slow": "", "fast": ""})
    assert found.effect == pytest.approx(2.0, rel=0.05)
    assert found.verdict == "worse"
    (found,) = compare_cases({"fast": fast, "slow": slow}, {"slow": "", "fast": ""})
    assert found.verdict == "better"


def test_p_is_corrected_for_the_number_of_pairs() -> None:
    def process(scale: float) -> list[list[list[int]]]:
        return [[[round(scale * (1000 + 37 * p * (p % 3)))] * 3] * 3 for p in range(5)]

    timed = {name: samples(*process(scale)) for name, scale in
             (("a", 1.0), ("b", 1.05), ("c", 1.3))}  # fmt: skip
    timed["b"].blocks[3]["ns"] = [10**9, 2000, 2000, 2000]
    found = compare_cases(timed, dict.fromkeys(timed, ""))
    assert [(one.a, one.b) for one in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    alone = [
        compare_cases({one.a: timed[one.a], one.b: timed[one.b]}, dict.fromkeys(timed, ""))[0]
        for one in found
    ]
    ps = [one.p for one in alone if one.p is not None]
    assert len(set(ps)) > 1
    assert ps == [one.p for one in found] == [one.p_corrected for one in alone]
    assert [one.p_corrected for one in found] == pytest.approx(holm(ps))


def test_cases_of_different_data_or_settings_are_not_compared() -> None:
    one, other = samples([[100] * 3] * 3), samples([[100] * 3] * 3)
    assert compare_cases({"a": one, "b": other}, {"a": "adding", "b": "parity"}) == []
    other.cells[0]["threads"] = 2
    assert compare_cases({"a": one, "b": other}, {"a": "", "b": ""}) == []


def test_samples_are_read_as_written(tmp_path: Path) -> None:
    made = samples([[100, 200, 300]] * 3)
    made.add_window(0, samples=640, seconds=0.5)
    made.write(tmp_path / "samples" / "a.json.gz")
    assert Samples.read(tmp_path / "samples" / "a.json.gz") == made
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["a.json.gz"]


def test_a_cell_that_failed_is_a_failed_measurement_and_the_others_are_measured() -> None:
    made = Samples()
    made.add_process([CELL, {**CELL, "runtime": "compile"}], {"build_s": 1.0})
    made.warmed_up(0, {"calls": 4, "steady": True})
    made.warmed_up(1, {"status": "failed", "reason": "the answer differs"})
    made.add_block(0, 0, 0, [1, 2, 3])
    good, bad, *_ = made.measurements("samples/a.json.gz", 0.02)
    assert (good.status, bad.status, bad.reason) == ("ok", "failed", "the answer differs")
    assert bad.settings["runtime"] == "compile"
    assert good.values["precise"] is False


def test_throughput_is_of_one_setting_only() -> None:
    made = Samples()
    made.add_process([CELL, {**CELL, "batch_size": 64}], {"build_s": 1.0})
    made.add_window(1, samples=6400, seconds=1.0)
    made.add_window(0, samples=100, seconds=1.0)
    for cell in (0, 1):
        made.add_block(cell, 0, 0, [1, 2, 3])
    (found,) = [m for m in made.measurements("", 0.02) if m.quantity == "throughput"]
    assert (found.settings["batch_size"], found.values["per_s"]) == (64, 6400)


def test_the_first_call_is_optional_in_cold_figures() -> None:
    made = samples([[100] * 3] * 3)
    made.cold.append({"build_s": 0.35, "first_call_s": 2.0})
    (cold,) = [m for m in made.measurements("", 0.02) if m.quantity == "cold"]
    assert cold.values == {"build_s": pytest.approx(0.3), "load_s": 0.5, "first_call_s": 2.0}


def test_the_first_call_of_the_first_process_counts() -> None:
    """The next ones find in the cache what it has compiled."""
    made = Samples()
    for process, seconds in enumerate((25.0, 2.5)):
        made.add_process([CELL], {})
        made.warmed_up(0, {"calls": 4, "steady": process == 0, "first_call_s": seconds})
        made.add_block(0, process, 0, [1, 2, 3])
    (found,) = made.measurements("", 0.02)
    assert found.values["first_call_s"] == 25.0
    assert found.values["steady"] is False


SUITE = """
    name: brief
    datasets: [{{parity: {{length: 6, train_size: 40, validation_size: 20, test_size: 20}}}}]
    models: [{{rnn: {{hidden_size: 4}}}}, {{lstm: {{hidden_size: 4, bidirectional: true}}}}]
    train: {{epochs: 1, batch_size: 20}}
    seeds: 1
    measure: {{latency: {{budget: 300ms, warm_up: 20ms, {settings}}}}}
    """


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "processes"), [("90%", 5), ("0.0001%", 6)])
def test_a_contest_ends_early_when_it_is_precise_enough(
    precision: str,
    processes: int,
    write_suite: Callable[..., Path],
    seqbench_cli: Callable[..., Any],
) -> None:
    settings = f"batch_sizes: [1], processes: 6, precision: {precision}"
    done = seqbench_cli("run", write_suite(SUITE.format(settings=settings)), "--json")
    for case in json.loads(done.stdout)["cases"]:
        (entry,) = case["latency"]
        assert entry["processes"] == processes
        assert entry["precise"] == (processes == 5)
        assert len(entry["process_medians_s"]) == processes
    told = "within the time budget" in seqbench_cli("show").stdout
    assert told == (processes == 6)


@pytest.mark.slow
def test_every_setting_is_timed(
    write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    settings = "batch_sizes: [1, 2], seq_lens: [3, 6, 12], threads: [1, 2], processes: 2"
    done = seqbench_cli("run", write_suite(SUITE.format(settings=settings)), "--json")
    rnn, lstm = json.loads(done.stdout)["cases"]
    for case in (rnn, lstm):
        assert case["status"] == "ok", case["reason"]
        found = {(e["batch_size"], e["length"], e["threads"]) for e in case["latency"]}
        assert found == {(b, n, t) for b in (1, 2) for n in (3, 6, 12) for t in (1, 2)}
        (exponent,) = [
            e for e in case["exponents"]["latency"] if (e["batch_size"], e["threads"]) == (1, 1)
        ]
        assert exponent["low"] < exponent["exponent"] < exponent["high"]
    (step,) = rnn["step"]
    assert step["state_bytes"] == 4 * 4  # one layer of four floats
    assert lstm["step"] == []  # bidirectional


@pytest.mark.slow
def test_a_length_that_is_not_the_datasets_own_is_labeled(
    write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    text = SUITE.format(settings="batch_sizes: [1], seq_lens: {only: [3]}, processes: 2")
    done = seqbench_cli("run", write_suite(text), "--json")
    document = json.loads(done.stdout)
    assert document["measure"]["latency"]["seq_lens"] == {"only": [3]}
    for case in document["cases"]:
        assert case["length"] == 6
        assert [entry["length"] for entry in case["latency"]] == [3]
    assert "batch 1, length 3" in " ".join(shown(document, 100).split())
    assert "latency_batch_1_length_3_s" in to_csv(document)
    assert "batch 1, length 3" in to_markdown(document)
    assert "batch 1, length 3" in to_latex(document)


def test_the_exponent_is_that_of_the_medians_of_each_process() -> None:
    # t = 2 n in one process and n² / 8 in the other: exponents 1 and 2.
    found = growth_interval([4, 16, 64], [[8, 32, 128], [2, 32, 512]])
    assert found is not None
    assert found["exponent"] == pytest.approx(1.5)
    # s = 1/√2, half width 12.7062 / 2
    assert found["high"] - found["exponent"] == pytest.approx(12.7062047 / 2, rel=1e-6)


@pytest.mark.slow
def test_an_unsupported_length_fails_alone(
    site: Path, write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any]
) -> None:
    code = """
        import torch

        class Fixed(torch.nn.Linear):
            def forward(self, x):
                assert x.shape[1] in (2, 6), "only six steps"
                return super().forward(x)
        """
    install_encoder(site, "fixed", "Fixed", code)
    text = SUITE.format(settings="batch_sizes: [1], seq_lens: [12, 6], processes: 2")
    text = text.replace("{rnn: {hidden_size: 4}}", "fixed")
    done = seqbench_cli("run", write_suite(text), "--json")
    fixed, lstm = json.loads(done.stdout)["cases"]
    assert [entry["length"] for entry in fixed["latency"]] == [6]
    assert fixed["cold"]["first_call_s"] > 0
    assert {one["length"] for one in fixed["unmeasured"] if one["quantity"] == "latency"} == {12}
    assert [entry["length"] for entry in lstm["latency"]] == [6, 12]
