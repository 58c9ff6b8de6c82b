"""Models of equal size: the width is solved, stored, and not solved again."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, install, pip_install
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import call_main
from small_runs import called, start
from suite_registry import ORIGIN

from seqbench.errors import NotApplicable, PluginError, SuiteError
from seqbench.measure.match import (
    found_by,
    predicted_bytes,
    refuse_out_of_reach,
    solve_width,
)
from seqbench.measure.payloads import MatchPayload
from seqbench.measure.widths import MOST_COUNTS, TooLarge, WidthSearch
from seqbench.plugins.choice import Choice
from seqbench.plugins.registry import Offer, Plugin, Registry
from seqbench.suite.keys import Suite
from seqbench.suite.validate import parse_suite
from seqbench.types import DatasetSpec, ModelSpec, Param

SUITE = """
    name: small
    datasets: [{parity: {length: 4, train_size: 400, validation_size: 50, test_size: 50}}]
    models: [rnn, lstm, {gru: {num_layers: [1, 2]}}]
    match: {parameters: 2k}
    train: {epochs: 1, batch_size: 20}
    seeds: 2
    measure: [accuracy]
    """


# The search.


@settings(max_examples=200, deadline=None)
@given(
    square=st.integers(0, 20),
    line=st.integers(1, 50),
    constant=st.integers(0, 500),
    step=st.sampled_from([1, 2, 4, 6, 16]),
    start_at=st.integers(1, 300),
    wanted=st.integers(1, 10**7),
)
def test_the_nearest_possible_width_is_found(
    square: int, line: int, constant: int, step: int, start_at: int, wanted: int
) -> None:
    tried: list[int] = []

    def size(width: int) -> int:
        return square * width * width + line * width + constant

    def count(width: int) -> int | None:
        tried.append(width)
        return None if width % step else size(width)

    search = WidthSearch(count, wanted, start_at)
    search.run()
    assert search.ended
    assert search.grows
    assert len(search.counts) <= MOST_COUNTS
    assert len(tried) == len(set(tried))  # no width is built twice
    possible = range(step, 2**20 + 1, step)
    low, high = 0, len(possible) - 1  # the last that is too small, by bisection
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(possible[middle]) <= wanted else (low, middle - 1)
    near = [possible[low], possible[min(low + 1, len(possible) - 1)]]
    assert search.best is not None
    distances = [abs(size(width) - wanted) for width in near]
    assert abs(size(search.best) - wanted) == min(distances)


@pytest.mark.parametrize(
    ("wanted", "best", "below", "above"), [(5, 4, None, 4), (45, 7, 6, 7), (1000, 9, 9, None)]
)
def test_limits_are_kept(wanted: int, best: int, below: int | None, above: int | None) -> None:
    search = WidthSearch(lambda width: width * width, wanted, 8, lowest=4, highest=9)
    search.run()
    assert (search.best, search.below, search.above) == (best, below, above)


def test_a_width_that_does_not_fit_into_memory_is_too_large() -> None:
    def count(width: int) -> int:
        if width > 100:
            raise TooLarge
        return width

    search = WidthSearch(count, 1000, 16)
    search.run()
    assert search.best == 100


def test_no_model_beyond_the_memory_is_built() -> None:
    model = Choice("m", {}, "a:b", "m", "1")
    payload = MatchPayload(
        model, "", parameter="n", quantity="parameters", wanted=10**10, start=1, most_bytes=2**32
    )
    with pytest.raises(NotApplicable, match=r"10,000,000,000 parameters take 37\.3 GiB"):
        solve_width(payload, None)  # type: ignore[arg-type]
    macs = dataclasses.replace(payload, quantity="macs")
    refuse_out_of_reach({8: 100, 16: 2 * 10**9}, 32, macs)  # it may come near in between
    with pytest.raises(NotApplicable, match="n=16 has 400; wider models do not fit into memory"):
        refuse_out_of_reach({8: 100, 16: 400}, 32, macs)
    sizes: dict[int, int] = {}

    def count(width: int) -> int:
        if predicted_bytes(sizes, width) > 4_000_000:
            raise TooLarge
        sizes[width] = 4 * (width * width + 3 * width)
        return width

    search = WidthSearch(count, 10**9, 16)
    search.run()
    assert search.too_large
    assert 990 < max(sizes) <= 1000


def test_a_parameter_without_effect_ends_the_search() -> None:
    search = WidthSearch(lambda width: 7, 1000, 16)
    search.run()
    assert len(search.counts) == 4
    assert max(search.counts) < 1000


def payload_of(wanted: int) -> MatchPayload:
    model = Choice("m", {}, "a:b", "m", "1")
    return MatchPayload(model, "", parameter="n", quantity="parameters", wanted=wanted, start=1)


def test_the_smallest_width_is_named_only_if_all_narrower_ones_were_tried() -> None:
    def words(narrowest: int) -> str:
        search = WidthSearch(lambda width: width if width >= narrowest else None, 10, 512)
        search.run()
        with pytest.raises(NotApplicable) as caught:
            found_by(search, payload_of(10), {})
        return str(caught.value)

    assert "too few: its smallest possible n=40 has 40 parameters" in words(40)
    assert words(400) == (
        "match: no n comes near 10 parameters: n=512 has 512 parameters; the search ended after 64 "
        "impossible widths in a row"
    )


@pytest.mark.parametrize(
    ("counts", "wanted", "error", "said"),
    [
        ({8: 100, 9: 110}, 109, None, ""),
        ({8: 100, 9: 140}, 120, None, ""),  # 17 % off: with a warning
        ({8: 100, 9: 250}, 160, NotApplicable, "no n comes near 160 parameters: n=8 has 100"),
        ({1: 110, 2: 200}, 100, NotApplicable, "too few: its smallest possible n=1 has 110"),
        ({1: 101, 2: 200}, 100, None, ""),
        ({1: 50, 2: 50, 4: 50, 8: 50}, 99, NotApplicable, "n=1 has 50 parameters; n does not chan"),
        ({}, 99, PluginError, r"no possible n: ValueError: no \(at n=5\)"),
    ],
)
def test_what_is_not_near_is_refused(
    counts: dict[int, int], wanted: int, error: type[Exception] | None, said: str
) -> None:
    search = WidthSearch(counts.get, wanted, 1, counts=counts, ended=True)
    payload = payload_of(wanted)
    if error is None:
        best = found_by(search, payload, {}).best
        assert best is not None
        assert counts[best.width] == best.value
        return
    with pytest.raises(error, match=said):
        found_by(search, payload, {5: "ValueError: no"})


# The keys.

MODELS = (
    ModelSpec("lstm", "m:lstm", {"hidden_size": Param(128, minimum=1), "layers": 1},
              scale="hidden_size"),
    ModelSpec("plain", "m:plain", {"hidden_size": 8}),
)  # fmt: skip
REGISTRY = Registry(
    (Plugin(ORIGIN, tuple(Offer(o, ORIGIN) for o in (*MODELS, DatasetSpec("adding", "d:a")))),)
)


def parsed(models: str, match: str) -> Suite:
    text = f"datasets: [adding]\nmodels: {models}\nmatch: {match}\n"
    return parse_suite(text, registry=REGISTRY)


@pytest.mark.parametrize(
    ("match", "quantity", "wanted"),
    [
        ("{parameters: 64k}", "parameters", 64_000),
        ("{macs: 1.5M}", "macs", 1_500_000),
        ("{parameters: 2 G}", "parameters", 2_000_000_000),
        ("{parameters: 100}", "parameters", 100),
        ("{state_bytes: 2KiB}", "state_bytes", 2048),
        ("{state_bytes: 2k}", "state_bytes", 2000),
    ],
)
def test_a_size_is_a_number_with_a_suffix(match: str, quantity: str, wanted: int) -> None:
    found = parsed("[lstm]", match).match
    assert found is not None
    assert (found.quantity, found.wanted) == (quantity, wanted)


@pytest.mark.parametrize(
    ("models", "match", "problem"),
    [
        (
            "[{lstm: {hidden_size: 4}}]", "{parameters: 64k}",
            "suite.yaml:2:18: models.0.lstm.hidden_size: match solves hidden_size, so it cannot be "
            "given (remove it, or write match: false beside the model's name)",
        ),
        (
            "[lstm, {lstm: {hidden_size: 4}}]", "{parameters: 64k}",
            "suite.yaml:2:24: models.1.lstm.hidden_size: match solves hidden_size, so it cannot be "
            "given (remove it, or write match: false beside the model's name)",
        ),
        (
            "[lstm]", "10k",
            "suite.yaml:3:8: match: must be a mapping, not text '10k' (as in {parameters: 64k})",
        ),
        (
            "[lstm, plain]", "{parameters: 64k}",
            "suite.yaml:2:16: models.1: match cannot solve the width of plain, since seqbench "
            "0.1.0 does not name the parameter for it (declare ModelSpec(..., scale=...) there, "
            "or write match: false beside the model's name)",
        ),
        (
            "[lstm]", "{parameters: 1k, macs: 1k}",
            "suite.yaml:3:8: match: must give one of parameters, macs, state_bytes and latency, "
            "not parameters and macs (as in {parameters: 64k})",
        ),
        (
            "[lstm]", "{latency: fast}",
            "suite.yaml:3:18: match.latency: must be a duration, not text 'fast' (as in 30m, 10s, "
            "1h30m, 500ms, or a number of seconds)",
        ),
        (
            "[lstm]", "{parameters: 64q}",
            "suite.yaml:3:21: match.parameters: must be a number, not text '64q' (as in 64k "
            "(64,000), 1.5M, 2G, or a whole number)",
        ),
        (
            "[{lstm: , match: false}]", "{parameters: 64k}",
            "suite.yaml:3:8: match: has no effect: every model has match: false",
        ),
    ],
)  # fmt: skip
def test_a_conflict_is_named_with_its_line(models: str, match: str, problem: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parsed(models, match)
    assert str(caught.value) == problem


def test_a_model_may_keep_its_own_width() -> None:
    models = "[lstm, {lstm: , match: false}, {plain: , match: false}]"  # no duplicates
    suite = parsed(models, "{parameters: 64k}")
    assert [entry.scale for entry in suite.models] == ["hidden_size", "", ""]
    assert parsed("[{lstm: {hidden_size: 4}}]", "null").match is None


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"scale": "width"}, "'width', which is none of its parameters"),
        ({"scale": "rate", "parameters": {"rate": 0.5}}, "must be a whole number"),
        ({"scale": "n", "parameters": {"n": Param(1, choices=(1, 2))}}, "without choices"),
    ],
)
def test_the_scale_is_a_parameter_of_the_model(about: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSpec("m", "a:b", **about)


# Runs.


def write(folder: Path, **changes: str) -> None:
    """Write the suite, with other values for some of its keys."""
    suite = textwrap.dedent(SUITE)
    for key, value in changes.items():
        suite = re.sub(rf"^{key}: .*$", f"{key}: {value}", suite, flags=re.MULTILINE)
    (folder / "small.yaml").write_text(suite)


def cases_of(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = called(folder, "--json", *arguments)
    assert done.returncode in (0, 1), done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["cases"]
    return found


def test_models_get_the_size_and_a_resume_does_not_solve_it_again(tmp_path: Path) -> None:
    write(tmp_path)
    empty = {"SEQBENCH_CACHE": str(tmp_path / "empty")}
    dry = call_main(["run", "small.yaml", "--dry-run"], tmp_path, empty)
    assert "match: parameters 2,000\n" in dry.stdout
    assert "to be solved once the data are prepared: rnn on parity, lstm on parity" in dry.stdout
    before = cases_of(tmp_path, "--seeds", "1")
    cases = cases_of(tmp_path, "--resume", "--seeds", "2")
    (run,) = tmp_path.glob("results/small/*")
    assert (run / "run.log").read_text().count("match: 4 to do") == 1
    assert [case["id"] for case in cases] == [case["id"] for case in before]
    for case in cases:
        match, width = case["match"], case["params"]["hidden_size"]
        assert case["parameters"] == match["value"]  # what was counted is what was trained
        assert match["deviation"] == pytest.approx(match["value"] / 2000 - 1)
        assert match["width"] == width
        assert case["label"].endswith(f" hidden_size={width}")
        assert match["below"]["value"] <= 2000 <= match["above"]["value"]
        assert case["seeds"] == {"ok": 2}
    assert [case["label"].split(" hidden")[0] for case in cases] == [
        "rnn", "lstm", "gru num_layers=1", "gru num_layers=2"
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("when", ["plan.json", "trials/*.json"])
def test_a_killed_run_ends_with_the_same_widths(when: str, tmp_path: Path) -> None:
    """Before the widths are solved, or after."""
    write(tmp_path, seeds="1")
    expected = cases_of(tmp_path, "--out", "whole")
    killed = start(tmp_path)
    while not list(tmp_path.glob(f"results/small/*/{when}")):
        time.sleep(0.02)
        assert killed.poll() is None
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    found = cases_of(tmp_path, "--resume")
    (run,) = tmp_path.glob("results/small/*")
    if when != "plan.json":
        assert (run / "run.log").read_text().count("match: 4 to do") == 1
    assert [(case["id"], case["match"]) for case in found] == [
        (case["id"], case["match"]) for case in expected
    ]


def test_a_size_out_of_reach_skips_its_case_alone(tmp_path: Path) -> None:
    models = "[rnn, lstm, {rnn: {hidden_size: 3}, match: false, label: own}]"
    write(tmp_path, models=models, match="{parameters: 150}", seeds="1")
    done = called(tmp_path, "--json")
    assert (done.returncode, "retry failures" in done.stderr) == (0, False)
    rnn, lstm, own = json.loads(done.stdout)["cases"]
    assert (rnn["status"], rnn["label"], own["status"]) == ("ok", "rnn hidden_size=2", "ok")
    assert lstm["seeds"] == {"skipped": 1}
    assert lstm["reason"] == (
        "seed 0: match: 150 parameters are too few: its smallest possible hidden_size=1 has 208 "
        "parameters"
    )
    assert (lstm["match"]["width"], "match" in own) == (None, False)
    shown = called(tmp_path, "--resume").stdout
    assert "matched: parameters 150 → 142 (-5.3 %).\nnot matched: own.\n" in shown
    assert "hidden_size=2 gives 142, hidden_size=3" in " ".join(shown.split())
    (run,) = tmp_path.glob("results/small/*")
    assert (run / "run.log").read_text().count("match: 2 to do") == 1  # not even what was refused


@pytest.mark.slow
def test_macs_and_state_are_those_of_the_table(tmp_path: Path) -> None:
    latency = "{latency: {batch_sizes: [1], budget: 1s, processes: 2, warm_up: 10ms}}"
    for key, match in (("macs", "{macs: 5k}"), ("state_bytes", "{state_bytes: 48}")):
        write(tmp_path, models="[rnn, lstm]", match=match, seeds="1", measure=latency)
        for case in cases_of(tmp_path):
            shown = case["macs"] if key == "macs" else case["step"][0]["state_bytes"]
            assert shown == case["match"]["value"]
            assert abs(case["match"]["deviation"]) < 0.1


SPINNING = """
    import time
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.inward, self.seconds = nn.Linear(input_size, hidden_size), 2e-4 * hidden_size

        def forward(self, x):
            end = time.perf_counter() + self.seconds
            hidden = self.inward(x)
            while time.perf_counter() < end:
                pass
            return hidden
    """


@pytest.mark.slow
def test_a_latency_is_timed(tmp_path: Path, site: Path) -> None:
    """A call takes 0.2 ms for each unit of width."""
    declared = """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            return [seqbench.ModelSpec("spinning", build="spinning_layer:Encoder",
                                       parameters={"hidden_size": 64}, scale="hidden_size")]
        """
    install(site, "spinning", {"spinning": declared, "spinning_layer": SPINNING}, "s = spinning")
    write(tmp_path, models="[spinning]", match="{latency: 2ms}", seeds="1", measure="[accuracy]")
    (case,) = cases_of(tmp_path)
    assert case["params"]["hidden_size"] in (9, 10)
    assert case["match"]["quantity"] == "latency"
    assert case["match"]["value"] == pytest.approx(2e6, rel=0.12)
    shown = called(tmp_path, "--resume").stdout
    assert re.search(r"matched: latency 2 ms → [12]\.\d* ms", shown)


HEADS = """
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self, input_size, hidden_size, heads):
            super().__init__()
            self.attention = nn.MultiheadAttention(hidden_size, heads)
            self.inward = nn.Linear(input_size, hidden_size)

        def forward(self, x):
            return self.inward(x)
    """


@pytest.mark.slow
def test_impossible_widths_are_passed_over(site: Path, tmp_path: Path) -> None:
    declared = """
        import seqbench

        @seqbench.hookimpl
        def seqbench_models():
            return [seqbench.ModelSpec("heads", build="heads_layer:Encoder",
                                       parameters={"hidden_size": 64, "heads": 4},
                                       scale="hidden_size")]
        """
    install(site, "heads", {"heads": declared, "heads_layer": HEADS}, "heads = heads")
    write(tmp_path, models="[heads]", seeds="1")
    (case,) = cases_of(tmp_path)
    assert (case["match"]["width"], case["match"]["below"]["width"]) == (16, 16)
    assert case["match"]["above"]["width"] == 20


@pytest.mark.extra
def test_models_of_the_zoo_get_64k_parameters(
    site: Path, seqbench_cli: Callable[..., Any], tmp_path: Path
) -> None:
    names = ("mingru", "transformer", "tcn", "mambapy")
    packages = [ROOT / "plugins" / "zoo" / f"seqbench-{name}" for name in names]
    pip_install(site, *packages, Path("mambapy"))
    models = "[rnn, lstm, gru, mingru, transformer, tcn, mamba]"
    write(tmp_path, models=models, match="{parameters: 64k}")
    first = seqbench_cli("run", "small.yaml", "--set", "models=[rnn]", "--seeds", 1)
    assert first.returncode == 0, first.stderr  # its dataset is prepared now
    planned = json.loads(seqbench_cli("run", "small.yaml", "--dry-run", "--json").stdout)
    found = {case["model"]["name"]: case["matching"]["found"]["best"] for case in planned["cases"]}
    assert len(found) == 7
    assert all(abs(best["value"] / 64_000 - 1) < 0.02 for best in found.values()), found
    assert not [line for line in planned["warnings"] if "gives" in line]
