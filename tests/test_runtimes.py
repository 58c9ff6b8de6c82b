"""Runtimes: from a plugin, and ``compile``, which must have compiled something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install
from torch import nn

from seqbench import PreparedCall, RuntimeSpec
from seqbench.errors import PluginError, SuiteError
from seqbench.plan.expand import make_plan
from seqbench.plugins.discovery import load_plugins
from seqbench.runtimes.compile import prepare
from seqbench.suite.json_schema import json_schema
from seqbench.suite.keys import Suite
from seqbench.suite.validate import parse_suite

NAMES = ("exported", "wrong", "sick", "repeats", "halves", "listed", "misnamed")

DECLARED = f"""
    import seqbench

    SEQBENCH_API = 3

    @seqbench.hookimpl
    def seqbench_runtimes():
        return [seqbench.RuntimeSpec(name, prepare=f"acme_ways:{{name}}", description="one way")
                for name in {NAMES}]
    """

WAYS = """
    import torch
    import seqbench

    def exported(model, inputs, *, threads):
        assert threads == torch.get_num_threads()
        return torch.export.export(model, (inputs,)).module()

    def wrong(model, inputs, *, threads):
        return lambda x: model(x) + 1

    def sick(model, inputs, *, threads):
        raise RuntimeError("not today")

    def repeats(model, inputs, *, threads):
        answer = model(inputs)
        return seqbench.PreparedCall(lambda x: answer)

    def halves(model, inputs, *, threads):
        for parameter in model.parameters():
            parameter /= 2
        return model

    def listed(model, inputs, *, threads):
        return lambda x: model(x).tolist()

    def misnamed(model, inputs, *, threads):
        return seqbench.PreparedCall(model, {"status": 1})
    """

ONE_RUNTIME = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_runtimes():
        return [seqbench.RuntimeSpec("{name}", prepare="{name}_way:prepare")]
    """

SUITE = """
    name: runtimes
    datasets: [{parity: {length: 4, train_size: 40, validation_size: 20, test_size: 20}}]
    models: [{rnn: {hidden_size: 4}}]
    train: {epochs: 1, batch_size: 20}
    seeds: 1
    measure:
      latency:
        {budget: 300ms, warm_up: 20ms, processes: 2, batch_sizes: [1], runtimes: [eager]}
    """


@pytest.fixture
def acme(site: Path) -> Path:
    install(site, "acme", {"acme": DECLARED, "acme_ways": WAYS}, "acme = acme")
    return site


def suite_with(runtimes: str) -> str:
    return textwrap.dedent(SUITE.replace("[eager]", runtimes))


def parsed(runtimes: str) -> Suite:
    return parse_suite(suite_with(runtimes), registry=load_plugins())


def names_of(suite: Suite) -> tuple[str, ...]:
    assert suite.measure.latency is not None
    return suite.measure.latency.runtimes


@pytest.mark.slow
def test_a_suite_with_runtimes_of_a_plugin(
    acme: Path, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    """Each stands under its name, with its figures or the reason why there are none."""
    editing = """
        def prepare(model, inputs, *, threads):
            with open(__file__, "a") as source:
                source.write("# edited\\n")
            return model
        """
    install(acme, "editing", {"editing": ONE_RUNTIME.format(name="editing"),
                              "editing_way": editing}, "editing = editing")  # fmt: skip
    asked = ["eager", *(name for name in NAMES if name != "sick"), "acme:sick", "editing"]
    suite = write_suite(suite_with(f"[{', '.join(asked)}]"))
    done = seqbench_cli("run", suite, "--json")
    assert done.returncode == 1, done.stderr
    (case,) = json.loads(done.stdout)["cases"]
    assert [one["runtime"] for one in case["latency"]] == ["eager", "exported"]
    eager, exported = case["latency"]
    assert exported["median_s"] > 0
    assert exported["first_call_s"] > 0
    assert "first_call_s" not in eager
    why = {one["runtime"]: one["reason"] for one in case["unmeasured"]}
    assert why.keys() == {*asked} - {"eager", "exported"}
    assert "runtime 'wrong' of acme 1.0: the answer differs" in why["wrong"]
    assert "runtime 'acme:sick' of acme 1.0: RuntimeError: not today" in why["acme:sick"]
    assert "other inputs: the answer differs" in why["repeats"]
    assert "runtime 'halves' of acme 1.0: the answer differs" in why["halves"]
    assert "the answer is list, not a tensor" in why["listed"]
    assert "unknown fact 'status'; available: first_call_s, graph_breaks" in why["misnamed"]
    assert "editing 1.0 was edited" in why["editing"]


@pytest.mark.slow
def test_a_resume_times_an_edited_runtime_again(
    acme: Path, seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    suite = write_suite(suite_with("[eager, exported]"))

    def to_time_again() -> list[Any]:
        would = seqbench_cli("run", suite, "--resume", "--dry-run", "--json").stdout
        found: list[Any] = json.loads(would)["latency"]
        return found

    assert seqbench_cli("run", suite).returncode == 0
    assert to_time_again() == []
    ways = acme / "acme_ways.py"
    ways.write_text(ways.read_text() + "# edited\n")
    assert len(to_time_again()) == 1


def test_a_plan_notes_where_a_runtime_of_a_plugin_comes_from(acme: Path) -> None:
    registry = load_plugins()
    (noted,) = make_plan(parsed("[eager, exported]"), registry).to_dict()["runtimes"]
    assert noted["name"] == "exported"
    assert noted["choice"]["distribution"] == "acme"
    assert noted["choice"]["version"] == "1.0"
    assert len(noted["choice"]["source"]) == 10
    plain = make_plan(parsed("[eager, compile]"), registry).to_dict()
    assert "runtimes" not in plain
    assert plain["measure"]["latency"]["runtimes"] == ["eager", "compile"]


def test_wrong_names_of_runtimes_are_said_with_their_line(acme: Path) -> None:
    with pytest.raises(SuiteError) as raised:
        parsed("[eager, exportd]")
    (line,) = str(raised.value).splitlines()
    assert line.startswith("suite.yaml:9:")
    assert "unknown runtime 'exportd'; did you mean 'exported'?" in line
    with pytest.raises(SuiteError, match="duplicate value 'acme:exported'"):
        parsed("[exported, acme:exported]")


def test_a_plugin_cannot_take_the_name_of_a_runtime_of_seqbench(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "taker", {"taker": ONE_RUNTIME.format(name="eager")}, "taker = taker")
    with pytest.raises(SuiteError) as raised:
        parsed("[eager]")
    expected = "'eager' is offered by seqbench 0.1.0 and taker 1.0: write 'seqbench:eager' or"
    assert expected in str(raised.value)
    assert names_of(parsed("[seqbench:eager, taker:eager]")) == ("eager", "taker:eager")
    unsaid = textwrap.dedent(SUITE.replace(", runtimes: [eager]", ""))
    assert names_of(parse_suite(unsaid, registry=load_plugins())) == ("eager",)
    listed = " ".join(seqbench_cli("plugins").stdout.split())
    assert "runtime 'eager' is also offered by seqbench 0.1.0: write 'taker:eager'" in listed


def test_runtimes_are_listed_and_in_the_schema(
    acme: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(acme, "broken", {"broken": "import seqbench\n\n@seqbench.hookimpl\n"
            "def seqbench_runtimes():\n    return ['fast']\n"}, "broken = broken")  # fmt: skip
    listed = seqbench_cli("runtimes")
    assert listed.returncode == 0
    for expected in ("eager  seqbench 0.1.0", "exported  acme 1.0", "one way"):
        assert expected in listed.stdout
    assert "returned a list with str in it, not RuntimeSpec" in listed.stderr
    schema = json_schema(load_plugins())
    asked = schema["$defs"]["Latency"]["properties"]["runtimes"]["anyOf"][0]["enum"]
    assert {"eager", "compile", "exported", "acme:exported"} <= set(asked)
    assert seqbench_cli("check", "exported").returncode == 0


def test_what_a_runtime_declares_and_returns_is_checked() -> None:
    with pytest.raises(ValueError, match="runtime name 'a b'"):
        RuntimeSpec("a b", prepare="a:b")
    with pytest.raises(ValueError, match="call is NoneType, which is not callable"):
        PreparedCall(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'graph_breaks' is nan, not a finite number"):
        PreparedCall(nn.Identity(), {"graph_breaks": float("nan")})


class Disabled(nn.Linear):
    @torch.compiler.disable
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


def test_compile_refuses_what_torch_compiles_no_part_of() -> None:
    with pytest.raises(PluginError, match="nothing was compiled: torch left the whole model"):
        prepare(Disabled(3, 2).eval(), torch.randn(1, 4, 3), threads=1)


COMPILING = """
    import torch
    from seqbench.runtimes.compile import prepare
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh()).eval()
    for batch in (1, 2):
        print(dict(prepare(model, torch.randn(batch, 5, 3), threads=1).facts))
    """


def compile_with(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Compiles a small model, twice, in a process with these variables and no cache."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder), **variables}
    command = [sys.executable, "-c", textwrap.dedent(COMPILING)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_compile_reports_what_it_compiled(tmp_path: Path) -> None:
    done = compile_with(tmp_path)
    assert done.stdout.count("'graph_breaks': 0") == 2, done.stderr


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"TORCHDYNAMO_DISABLE": "1"}, "the environment variable TORCHDYNAMO_DISABLE is set"),
        pytest.param(
            {"TORCH_COMPILE_DISABLE": "1"},
            "the environment variable TORCH_COMPILE_DISABLE is set",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"TORCHDYNAMO_SUPPRESS_ERRORS": "1", "CXX": "/no/such/compiler"},
            "compiler",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["dynamo disabled", "compile disabled", "no compiler"],
)
def test_compile_never_times_eager_mode(
    variables: dict[str, str], reason: str, tmp_path: Path
) -> None:
    done = compile_with(tmp_path, **variables)
    assert done.returncode == 1
    assert "graph_breaks" not in done.stdout
    assert reason in done.stderr


@pytest.mark.parametrize("value", [True, 1.5, float("nan"), "1"])
def test_a_fact_that_records_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="fact 'graph_breaks'"):
        PreparedCall(lambda x: x, {"graph_breaks": value})
