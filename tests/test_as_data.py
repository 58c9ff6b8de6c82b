"""Latency with the lengths that the test sequences have: what is timed, and what the figure is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import install
from hypothesis import given
from hypothesis import strategies as st
from made_documents import FIGURES, made, print_pairs, shown
from test_suite import TINY, parse
from test_turns import CELL

from seqbench.cli.estimate import latency_words
from seqbench.measure.latency.cells import cells_of
from seqbench.measure.latency.comparisons import compare_cases
from seqbench.measure.latency.figures import Samples
from seqbench.measure.latency.mixture import cycle_of, mixture_of, representatives
from seqbench.measure.latency.protocol import MAX_CYCLE
from seqbench.measure.payloads import cost_requests, memory_requests
from seqbench.records import AS_DATA, Measurement, fingerprint
from seqbench.report.exports.csv import to_csv
from seqbench.report.exports.latex import to_latex
from seqbench.report.exports.markdown import to_markdown
from seqbench.report.page.methods import methods
from seqbench.stats.timing import block_figures, latency_summary
from seqbench.store.files import read_compressed, write_compressed
from seqbench.store.json_files import Damaged
from seqbench.summary.calls import read_calls
from seqbench.summary.lengths import exponents
from seqbench.testing.selftest.rig import SETTINGS
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import Task

TASK = Task("features", 1, "label", 2, 5)

MIXTURE = {"calls": 16, "shortest": 5, "longest": 20, "mean_length": 11.5, "padding": 0.25}


# ---------------------------------------------------------------------------------- the sequences


def split_of(*lengths: int) -> Split:
    offsets = torch.tensor([0, *np.cumsum(lengths).tolist()])
    inputs = torch.arange(float(sum(lengths)))[:, None]
    return Split(TASK, inputs, torch.zeros(len(lengths), dtype=torch.int64), offsets=offsets)


def test_batches_are_in_the_order_of_the_data_and_the_last_one_is_filled_up() -> None:
    split = split_of(2, 5, 3, 4, 1)
    assert [rows.tolist() for rows in cycle_of(split, 1)] == [[0], [1], [2], [3], [4]]
    assert [rows.tolist() for rows in cycle_of(split, 2)] == [[0, 1], [2, 3], [4, 0]]
    assert [rows.tolist() for rows in cycle_of(split, 8)] == [[0, 1, 2, 3, 4, 0, 1, 2]]


def test_batches_are_padded_to_their_longest_sequence_and_no_further() -> None:
    batch = split_of(2, 5, 3, 4, 1).batch(cycle_of(split_of(2, 5, 3, 4, 1), 2)[1])
    assert batch.inputs[..., 0].tolist() == [[7, 8, 9, 0], [10, 11, 12, 13]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [3, 4]


def test_a_mixture_by_hand() -> None:
    # 10 steps in 4 + 4 places, of which 8 + 2 are of these sequences; longest of the second: 4.
    assert mixture_of([[torch.tensor([2, 4])], [torch.tensor([3, 1])]]) == {
        "calls": 2, "shortest": 1, "longest": 4, "mean_length": 2.5,
        "padding": pytest.approx(1 - 10 / (8 + 6)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "most", "chosen"),
    [
        ([7, 7, 2], 3, [7, 7, 2]),  # no more than may be
        # Thirds: (1, 2), (3, 4), (9, 10), with means between the two; the first is taken.
        ([10, 1, 4, 2, 3, 9], 3, [1, 3, 9]),
        # Thirds of four: 1 and a third of 2, mean 1.25; two thirds of 2 and of 3, mean 2.5; a
        # third of 3 and 10, mean 8.25.
        ([1, 2, 3, 10], 3, [1, 2, 10]),
    ],
)
def test_representatives_by_hand(steps: list[int], most: int, chosen: list[int]) -> None:
    assert [steps[place] for place in representatives(steps, most)] == chosen


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=200), st.integers(1, 20))
def test_the_mean_of_the_representatives_is_about_that_of_all(steps: list[int], most: int) -> None:
    """No further away than half of the largest gap between two lengths."""
    places = representatives(steps, most)
    assert len(places) == min(most, len(steps))
    assert places == sorted(places)
    gap = max((b - a for a, b in pairwise(sorted(steps))), default=0)
    assert abs(np.mean([steps[n] for n in places]) - np.mean(steps)) <= gap / 2 + 1e-9


def test_a_large_split_is_represented_by_few_sequences() -> None:
    lengths = torch.randint(1, 200, (1000,), generator=torch.Generator().manual_seed(0))
    split = split_of(*lengths.tolist())
    rows = cycle_of(split, 1)
    assert len(rows) == MAX_CYCLE
    mean = mixture_of([[lengths[some]] for some in rows])["mean_length"]
    assert mean == pytest.approx(lengths.double().mean().item(), rel=0.01)


# ------------------------------------------------------------------------------------ the figures


def samples(*processes: list[list[int]], cycle: int = 3) -> Samples:
    """One cell with lengths as in the data; for each process its rounds, for each round the calls
    in nanoseconds. A first call of one second precedes each round.
    """
    made = Samples()
    mixture = {**MIXTURE, "calls": cycle}
    for process, rounds in enumerate(processes):
        made.add_process([{**CELL, "length": AS_DATA}], {})
        made.warmed_up(0, {"calls": 4, "steady": True, "mixture": mixture})
        for number, calls in enumerate(rounds):
            made.add_block(0, process, number, [10**9, *calls])
    return made


def test_the_figure_is_the_mean_over_the_sequences_by_hand() -> None:
    # Usual calls 1, 10, 100: mean 37. Second block: one call was disturbed. Third: all are twice as
    # slow, in both cycles.
    blocks = [[1, 10, 100], [1, 10, 5000], [2, 20, 200, 2, 20, 200], [1, 10, 100] * 3]
    assert block_figures([[float(ns) for ns in block] for block in blocks], 3) == [37, 37, 74, 37]
    found = latency_summary([[[float(ns) for ns in block] for block in blocks]], 3)
    assert found["median_s"] == 37
    assert found["n"] == 21


def test_with_one_sequence_the_figure_is_the_median_as_ever() -> None:
    blocks = [[3.0, 1.0, 2.0], [5.0, 9.0]]
    assert block_figures(blocks) == [2.0, 7.0]


def test_sequences_of_different_cost_are_not_unstable() -> None:
    calm, wild = [[1.0, 10.0, 100.0]] * 8, [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]] * 4
    assert latency_summary([calm, calm], 3)["spread"] == 0
    assert latency_summary([wild, wild], 3)["unstable"]


def test_percentiles_are_of_the_mixture_if_a_cycle_can_show_them() -> None:
    cycle = [float(n) for n in range(1, 17)]
    found = latency_summary([[cycle] * 50], 16)
    assert found["n"] == 800
    assert found["p90_s"] == 15.0  # of 16 calls, two lie above 14
    assert found["p99_s"] is None
    assert latency_summary([[[1.0] * 9] * 100], 9)["p90_s"] is None
    assert latency_summary([[[1.0] * 10] * 100], 10)["p90_s"] == 1.0
    assert latency_summary([[[1.0] * 100] * 8], 100)["p99_s"] == 1.0


def test_a_pair_is_compared_over_the_same_sequences() -> None:
    slow = samples(*[[[200 + p, 1000 + p, 4000 + p]] * 3 for p in range(6)])
    fast = samples(*[[[400, 400, 500] * 2] * 3 for _ in range(6)])
    (found,) = compare_cases({"slow": slow, "fast": fast}, {"slow": "", "fast": ""})
    assert found.effect == pytest.approx(5200 / 1300, rel=0.01)
    assert found.verdict == "worse"
    assert found.settings["length"] == AS_DATA


def test_throughput_is_also_that_of_the_mixture() -> None:
    made = Samples()
    large, mixed = {**CELL, "batch_size": 64}, {**CELL, "batch_size": 64, "length": AS_DATA}
    made.add_process([CELL, large, {**CELL, "length": AS_DATA}, mixed], {})
    for cell in range(4):
        made.warmed_up(cell, {"calls": 4, "steady": True})
        made.add_block(cell, 0, 0, [1, 2, 3])
    assert made.window_cells() == [1, 3]
    made.add_window(1, samples=6400, seconds=2.0)
    made.add_window(3, samples=6400, seconds=1.0)
    rates = [m for m in made.measurements("", 0.02) if m.quantity == "throughput"]
    assert [(m.settings["length"], m.values["per_s"]) for m in rates] == [
        (5, 3200),
        (AS_DATA, 6400),
    ]


@pytest.mark.parametrize("rounds", [3, 10])
def test_the_interval_has_its_nominal_coverage(rounds: int) -> None:
    """Processes differ by 2 %, for single sequences by another 1 %, calls by 3 %."""
    random = np.random.default_rng(1)
    true = np.geomspace(1, 30, 16)
    hits = 0
    for _ in range(400):
        own = np.exp(0.02 * random.standard_normal((8, 1)) + 0.01 * random.standard_normal((8, 16)))
        noise = np.exp(0.03 * random.standard_normal((8, rounds, 16)))
        found = latency_summary((true * own[:, None] * noise).tolist(), 16)
        hits += found["low_s"] <= true.mean() <= found["high_s"]
    assert 0.92 <= hits / 400 <= 0.98


def test_the_mixture_takes_no_part_in_exponents() -> None:
    def timed(length: Any, seconds: float) -> Measurement:
        at = {"batch_size": 1, "length": length, "threads": 1, "runtime": "eager"}
        return Measurement("latency", "s", at, {"process_medians_s": [seconds, seconds]})

    two = [timed(10, 1.0), timed(20, 2.0)]
    assert exponents([*two, timed(AS_DATA, 9.0)]) == exponents(two)
    assert exponents([timed(10, 1.0), timed(AS_DATA, 2.0)])["latency"] == []


def test_samples_that_are_not_whole_cycles_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    samples([[1, 10, 100]]).write(path)
    (calls,) = read_calls(path)
    assert calls.round_figures == {0: {0: pytest.approx(37e-9)}}
    held = read_compressed(path)
    held["blocks"][0]["ns"].append(7)
    write_compressed(path, held)
    with pytest.raises(Damaged, match=r"blocks\[0\]\.ns: not in whole cycles of 3 calls"):
        read_calls(path)


# -------------------------------------------------------------------------------- what shows them


def entry(length: Any, batch_size: int, **more: Any) -> dict[str, Any]:
    return {
        "batch_size": batch_size, "length": length, "threads": 1, "runtime": "eager",
        "median_s": 1e-3, "low_s": 0.99e-3, "high_s": 1.01e-3, "p90_s": None, "p99_s": None,
        "n": 700, "processes": 5, "spread": 0.1, "unstable": False, "precise": False, **more,
    }  # fmt: skip


def document(*lengths: Any) -> Any:
    """Latency at these lengths, batch 1 and 64, on a dataset of 20 steps."""
    found: Any = made(FIGURES)
    for case in found["cases"]:
        case["length"] = 20
        case["latency"] = [
            entry(length, size, **({"mixture": MIXTURE} if length == AS_DATA else {}))
            for length in lengths
            for size in (1, 64)
        ]
        rate = {"per_s": 1e4, "low_per_s": 9e3, "high_per_s": 11e3, "n": 5}
        case["throughput"] = [
            {**entry(length, 64), **rate} for length in (lengths[0], AS_DATA)[: len(lengths)]
        ]
    found["measure"] = {"latency": {"precision": 0.02}}
    return found


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("lengths", [[AS_DATA], [20, AS_DATA], [20, 5, 80, AS_DATA]])
def test_tables_name_the_lengths_of_the_data(lengths: list[Any], width: int) -> None:
    text = shown(document(*lengths), width)
    words = " ".join(text.split())
    assert "as data" in text
    assert "as_data" not in text
    assert "Latency did not reach ±2 % within the time budget: rnn (up to ±1.0 % at batch" in words
    assert "batch 1: 16 calls, 5 to 20 steps, mean 11.5, 25 % padding; batch 64" in words
    if len(lengths) == 1:
        assert "batch 1, as data" in words


def test_each_setting_has_a_row_and_that_of_the_data_is_the_last() -> None:
    rows = [line.split() for line in shown(document(AS_DATA, 80, 20, 5), 160).splitlines()]
    found = [row[:3] for row in rows if row[:1] in (["1"], ["64"])]
    assert found == [
        [size, *words] for size in ("1", "64")
        for words in (["5", "ms"], ["20", "ms"], ["80", "ms"], ["as", "data"])
    ]  # fmt: skip


def test_exports_have_columns_of_their_own() -> None:
    found = document(20, AS_DATA)
    head = to_csv(found).splitlines()[0].split(",")
    for name in ("latency_batch_1_length_20_s", "latency_batch_1_as_data_s",
                 "throughput_batch_64_per_s", "throughput_batch_64_as_data_per_s"):  # fmt: skip
        assert name in head
    for text in (to_markdown(found), to_latex(found)):
        assert "batch 1, as data" in text
    assert shown(found, 160, of=print_pairs)  # nothing was compared


def test_a_published_latency_is_not_shown_beside_the_mixture() -> None:
    found = document(AS_DATA)
    for case in found["cases"]:
        case["reference"], case["length"] = {"latency_s": 0.5}, None
    assert "reference_latency" not in to_csv(found)


def test_the_methods_say_so() -> None:
    text = methods(document(20, 5, AS_DATA))
    assert "length 5 and 20; threads 1; runtime eager; lengths as in the test split: the" in text


@pytest.mark.extra
def test_charts_have_no_place_for_the_mixture_on_an_axis_of_lengths() -> None:
    pytest.importorskip("altair")
    from seqbench.report.charts.kinds import KINDS, draw
    from seqbench.report.charts.source import RunData, groups

    (group,) = groups(RunData(document(20, 5, AS_DATA)))
    chart = draw("length", group)
    assert {row["length"] for row in chart.rows()} == {5, 20}
    assert len(chart.rows()) == 3 * 2 * 2
    assert draw("length", groups(RunData(document(20, AS_DATA)))[0]).missing
    assert all(draw(kind, group) for kind in KINDS)


# -------------------------------------------------------------------------------------- real runs

#: Spins for so long per true step.
STEP_S = 20e-6

PACKAGE = f"""
    import time
    import seqbench
    import torch

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("ragged", load="ragged:load")]

    @seqbench.hookimpl
    def seqbench_models():
        about = {{"build": "ragged:Spin", "kind": "model", "parameters": {{"number": 0}}}}
        return [seqbench.ModelSpec("spin", **about)]

    @seqbench.hookimpl
    def seqbench_runtimes():
        return [seqbench.RuntimeSpec("plain", prepare="ragged:plain")]

    def load(context):
        lengths = [40, 10, 25, 5, 60]
        generator = torch.Generator().manual_seed(0)
        x = [torch.randn(t, 1, generator=generator) for t in lengths]
        y = torch.tensor([0, 1, 0, 1, 0])
        task = seqbench.Task("features", 1, "label", 2, 60)
        return seqbench.Splits(task, train=(x, y), test=(x, y))

    def plain(model, inputs, *, threads):
        return model

    class Spin(torch.nn.Module):
        def __init__(self, task, *, number):
            super().__init__()
            self.head = torch.nn.Linear(task.input_size, task.output_size)

        def forward(self, x, lengths=None):
            steps = x.shape[0] * x.shape[1] if lengths is None else int(lengths.sum())
            end = time.perf_counter() + {STEP_S} * steps
            answer = self.head(x.float().sum(1))
            while time.perf_counter() < end:
                pass
            return answer
    """


@pytest.fixture
def ragged(site: Path) -> None:
    install(site, "ragged", {"ragged": PACKAGE}, "ragged = ragged")


def test_a_run_with_the_lengths_of_the_data(
    ragged: None, write_suite: Callable[..., Path], seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    text = """
        name: mixture
        datasets: [ragged]
        models:
          - {spin: {number: 1}, label: spin}
          - {spin: {number: 2}, label: alone, train: {batches: one_length}}
        train: {epochs: 1, batch_size: 5}
        seeds: 1
        measure:
          memory: {batch_size: 2}
          latency:
            {budget: 200ms, warm_up: 20ms, processes: 2, batch_sizes: [1, 3],
             seq_lens: [4, as_data], runtimes: [eager, plain]}
        """
    done = seqbench_cli("run", write_suite(text), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    cases = {case["label"]: case for case in found["cases"]}
    _check_figures(cases["spin"], tmp_path / found["run"])
    assert [one["length"] for one in cases["spin"]["lengths"]] == [4, 60]
    _check_skipped(cases)
    pairs = [e for e in found["comparisons"] if e["settings"].get("length") == AS_DATA]
    ((pair,),) = [pairs]  # at batch 1, where both have a figure
    assert {pair["a"], pair["b"]} == {cases["spin"]["id"], cases["alone"]["id"]}
    _check_views(seqbench_cli)


def _check_figures(case: Any, run: Path) -> None:
    """The model takes at least the time that it spins for, and in the fastest call of each sequence
    hardly more.
    """
    timed = {
        calls.settings["batch_size"]: calls
        for calls in read_calls(run / "samples" / f"{case['id']}.json.gz")
        if (calls.settings["length"], calls.settings["runtime"]) == (AS_DATA, "eager")
    }
    figures = {e["batch_size"]: e for e in case["latency"] if e["length"] == AS_DATA}
    # In threes: 40, 10, 25 and 5, 60, 40 steps.
    for size, steps, padding in ((1, [40, 10, 25, 5, 60], 0), (3, [75, 105], 1 - 180 / 300)):
        calls, found = timed[size], figures[size]
        blocks = [block for process in calls.processes for block in process]
        assert calls.cycle == len(steps)
        for place, count in enumerate(steps):
            fastest = min(call for block in blocks for call in block[place :: len(steps)])
            assert 0 <= fastest - STEP_S * count < 5 * STEP_S
        assert found["median_s"] >= STEP_S * np.mean(steps)
        assert latency_summary(calls.processes, calls.cycle).items() <= found.items()
        assert found["mixture"] == {
            "calls": len(steps), "shortest": 5, "longest": 60,
            "mean_length": np.mean(steps) / size, "padding": pytest.approx(padding),
        }  # fmt: skip
    rates = {entry["length"]: entry for entry in case["throughput"]}
    assert rates.keys() == {60, AS_DATA}
    assert rates[AS_DATA]["batch_size"] == 3
    assert rates[AS_DATA]["per_s"] <= 3 / (STEP_S * 90)


def _check_skipped(cases: Any) -> None:
    """What cannot be timed is skipped, with the reason."""

    def reasons(label: str) -> dict[tuple[int, str], str]:
        assert cases[label]["status"] == "ok"
        return {
            (one["batch_size"], one["runtime"]): one["reason"]
            for one in cases[label]["unmeasured"]
            if one["quantity"] == "latency" and one["length"] == AS_DATA
        }

    eager_only = (
        "lengths as in the data are timed with the runtime eager only; others prepare a call for "
        "inputs of one shape"
    )
    plain = {(1, "plain"): eager_only, (3, "plain"): eager_only}
    assert reasons("spin") == plain
    padded = (
        "batches of 3 test sequences in their order need padding, which spin does not get "
        "(train.batches: one_length)"
    )
    assert reasons("alone") == {**plain, (3, "eager"): padded}


def _check_views(seqbench_cli: Callable[..., Any]) -> None:
    """Everything that reads a run can read this one."""
    for command in (
        ("show", "--explain", "--all"), ("show", "--pairs"), ("show", "--memory"),
        ("show", "--format", "markdown"), ("show", "--format", "latex"),
        ("export", "--format", "csv"), ("export", "--format", "github"),
        ("export", "--format", "pytest-benchmark"), ("show", "--pairs", "--format", "csv"),
    ):  # fmt: skip
        done = seqbench_cli(*command)
        assert done.returncode == 0, (command, done.stderr)
    figures = json.loads(seqbench_cli("export", "--format", "bmf").stdout)
    name = "ragged/spin/cpu batch_size=1 length=as_data threads=1 runtime=eager"
    assert figures[name]["latency"]["value"] >= 1e9 * STEP_S * 28


@pytest.mark.parametrize("own_length", [True, False])
def test_of_sequences_of_one_length_that_length_is_timed_once(own_length: bool) -> None:
    def lengths(test: Split) -> list[Any]:
        splits = PreparedSplits(TASK, split_of(5, 2), test)
        subject: Any = SimpleNamespace(splits=splits, model=torch.nn.Linear(1, 1))
        settings = replace(SETTINGS, seq_lens=(7,), as_data=True, own_length=own_length)
        return [cell.settings["length"] for cell in cells_of(subject, settings)]

    own = [5] if own_length else []
    full, short = (Split(TASK, torch.zeros(4, n, 1), torch.zeros(4)) for n in (5, 3))
    assert sorted(lengths(full)) == [5, 7]
    assert lengths(short) == [*own, 7, 3]  # only the training split has longer ones
    assert lengths(split_of(5, 2)) == [*own, 7, AS_DATA]


# --------------------------------------------------------------------------------------- settings


def test_a_resume_times_again_only_what_the_lengths_of_the_data_change() -> None:
    """Without them, latencies from before they existed are recognized."""
    plain = replace(SETTINGS, seq_lens=(7,))
    assert "as_data" not in plain.identity()
    ways = [
        replace(SETTINGS, seq_lens=steps, as_data=as_data, own_length=own).identity()
        for steps in ((), (7,)) for as_data in (True, False) for own in (True, False)
        if steps or as_data or own
    ]  # fmt: skip
    assert len({fingerprint(way) for way in ways}) == len(ways)


def test_memory_and_cost_are_measured_at_stated_lengths_only() -> None:
    suite = parse(f"{TINY}measure: {{memory: , latency: {{seq_lens: [16, as_data]}}}}")
    subject: Any = None
    payloads = [*cost_requests(suite.measure, subject).values()]
    payloads += memory_requests(suite.measure, subject).values()  # type: ignore[arg-type]
    assert {payload.lengths for payload in payloads} == {(16,)}


def test_a_dry_run_names_the_lengths_of_the_data() -> None:
    latency = parse(f"{TINY}measure: {{latency: {{seq_lens: [16, as_data]}}}}").measure.latency
    assert latency is not None
    assert "length of the dataset, 16, as in the data;" in latency_words(latency)
