"""`seqbench check`: correct plugins pass, every planted bug is caught by the right check."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install, install_encoder

from seqbench import DataContext
from seqbench.errors import UsageError
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.runner.context import local_workspace
from seqbench.testing import conformance
from seqbench.testing.plugin_checks.candidate import Candidate
from seqbench.testing.plugin_checks.datasets import DATASET_CHECKS, DatasetCandidate
from seqbench.testing.plugin_checks.job import check_payload, run_checks
from seqbench.testing.plugin_checks.models import MODEL_CHECKS
from seqbench.testing.plugin_checks.results import Check, check_results

#: Each planted bug with the check that must find it, and a part of its message.
BUGS = {
    "MixesRows": ("rows", "with another second row, the answer to the first changes by"),
    "RunsAlongTheBatch": ("rows", "with another first row, the answer to the second changes by"),
    "NumbersTheBatch": ("rows", "the answers change by"),
    "ScalesWithTheBatch": ("rows", "one at a time, the answers change by"),
    "KeepsStateInTraining": ("memory", "after a call with another input the answer changes by"),
    "KeepsState": ("memory", "after a call with another input the answer changes by"),
    "Noisy": ("noise", "the model is still random after .eval()"),
    "AlwaysDrops": ("noise", "the model is still random after .eval()"),
    "NeverDrops": ("dropout", "two calls give the same answer"),
    "UnusedParameter": ("gradients", "no gradient for encoder.spare.weight, encoder.spare.bias"),
    "Unstable": ("gradients", "NaN or infinite gradients of encoder.inner.weight"),
    "DoublePrecision": ("answer", "Double"),
    "NoShortSequences": ("sizes", "Invalid computed output size"),
    "NoBatchOfOne": ("build", "for an input of shape (1, 2, "),
    "NoLengthOfOne": ("sizes", "shape"),
    "Overwrites": ("input", "it was changed in place"),
    "OwnSeed": ("globals", "building the model sets a seed"),
    "NoSeed": ("seed", "encoder.inner.weight differ"),
    "PlainTensor": ("device", "register_buffer lets .to() move it"),
    "Unsaved": ("weights", "some of its state is neither a parameter nor a persistent buffer"),
    "ReseedsInForward": ("globals", "calling the model sets a seed"),
    "ChangesThreads": ("globals", "torch.get_num_threads()"),
    "SetsThreads": ("globals", "torch.get_num_threads()"),
    "WrongStep": ("step", "answers differ by"),
    "OverwritesState": ("step", "a second step from the same state differs by"),
    "LearnsNothing": ("learns", "it went from"),
}  # fmt: skip
DATASET_BUGS = {
    "leaks": ("disjoint", "50 of its 50 sequences are in train, too"),
    "validates_on_test": ("disjoint", "200 of its 200 sequences are in"),
    "drifts": ("repeatable", "train_x, train_y differ"),
    "in_the_order_of_a_set": ("repeatable", "do not rely on the order of a set"),
    "one_seed": ("seed", "the same data"),
    "keeps_drawing": ("repeatable", "train_x, train_y, test_x, test_y differ"),
    "short_and_leaking": ("disjoint", "200 of its 200 sequences are in"),
    "lacks_a_class": ("classes", "no sequences of class 2"),
    "out_of_range": ("load", "contains class 3, but task.output_size 3 allows 0 to 2"),
    "not_a_number": ("load", "NaN"),
    "reseeds": ("globals", "use a torch.Generator"),
}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as `seqbench check` does
    yield
    torch.set_num_threads(before)


def candidate(name: str) -> Candidate:
    params: dict[str, Any] = {"readout": "last", "embedding_size": 5}
    if name.endswith("Drops"):
        params["dropout"] = 0.1
    return Candidate(Choice(name, params, f"buggy:{name}", "seqbench", "0", kind="encoder"))


def named(checks: tuple[Check, ...], *names: str) -> list[Check]:
    return [check for check in checks if not names or check.name in names]


def test_a_correct_model_passes_every_check() -> None:
    random.seed(0)
    found = list(check_results(MODEL_CHECKS, candidate("Correct")))
    assert {one.check for one in found if one.result == "failed"} == set(), found
    assert {one.check for one in found if one.result == "skipped"} == {"dropout", "step"}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught_by_name(bug: str) -> None:
    expected, message = BUGS[bug]
    found = {
        one.check: one
        for one in check_results(named(MODEL_CHECKS, "build", expected), candidate(bug))
    }
    caught = found[expected]
    assert caught.result == "failed", found
    assert message in caught.got
    assert caught.expected


def test_the_smallest_input_is_shown() -> None:
    (found,) = check_results(named(MODEL_CHECKS, "rows"), candidate("MixesRows"))
    assert "features/label, an input of shape (2, 1, 3): [[[" in found.example


@pytest.mark.parametrize(
    "name", ["gru", *(pytest.param(name, marks=pytest.mark.slow) for name in ("rnn", "lstm"))]
)
def test_built_in_models_pass(name: str) -> None:
    found = list(
        run_checks(
            check_payload(load_plugins().model(name), {"hidden_size": 8}), local_workspace(Path())
        )
    )
    assert [one for one in found if one.result == "failed"] == []
    assert {one.check for one in found if one.result == "no"} <= {"compiles", "exports"}


@pytest.mark.parametrize("name", ["adding", pytest.param("parity", marks=pytest.mark.slow)])
def test_built_in_datasets_pass(name: str) -> None:
    found = list(
        run_checks(check_payload(load_plugins().dataset(name), {}), local_workspace(Path()))
    )
    assert [one for one in found if one.result == "failed"] == []


@pytest.mark.parametrize("bug", DATASET_BUGS)
def test_a_bug_in_a_dataset_is_caught_by_name(bug: str, tmp_path: Path) -> None:
    expected, message = DATASET_BUGS[bug]
    choice = Choice(bug, {"seed": 3}, f"buggy:{bug}", "seqbench", "0")
    dataset = DatasetCandidate(choice, DataContext(None, tmp_path, lambda text: None))
    found = {
        one.check: one for one in check_results(named(DATASET_CHECKS, "load", expected), dataset)
    }
    assert found[expected].result == "failed", found
    assert message in found[expected].got


EAGER = """
    import seqbench
    import torch

    class Eager(torch.nn.Linear):
        pass

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("eager", build="eager:Eager", parameters={"out_features": 4})]
    """


def test_check_reports_and_exits_1_where_something_failed(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "eager", {"eager": EAGER}, "eager = eager")
    done = seqbench_cli("check", "eager")
    assert done.returncode == 1
    assert "a plugin declaration that does not import torch" in done.stdout
    assert "16 of 17 required checks passed" in " ".join(done.stdout.split()), done.stdout
    correct = seqbench_cli("check", "parity")
    assert correct.returncode == 0, correct.stdout
    assert "6 of 6 required checks passed" in correct.stdout


CRASHING = EAGER.replace("        pass", """        def forward(self, x):
            import os
            if len(x) == 5:
                os.abort()
            return super().forward(x)""")  # fmt: skip


def test_a_crash_during_a_check_is_reported_with_the_check(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "eager", {"eager": CRASHING}, "eager = eager")
    done = seqbench_cli("check", "eager")
    assert done.returncode == 1
    assert "crashed during `sizes`: the process was killed by SIGABRT" in done.stdout
    assert "answer" in done.stdout


def test_unknown_names_are_reported(seqbench_cli: Callable[..., Any]) -> None:
    unknown = seqbench_cli("check", "lstmm")
    assert unknown.returncode == 2
    assert "unknown model or dataset 'lstmm'; did you mean 'lstm'?" in unknown.stderr
    parameter = seqbench_cli("check", "lstm", "--param", "hiden_size=3")
    assert parameter.returncode == 2
    assert "lstm has no parameter 'hiden_size'; did you mean 'hidden_size'?" in parameter.stderr
    value = seqbench_cli("check", "lstm", "--param", "hidden_size=many")
    assert value.returncode == 2
    assert "lstm, hidden_size: 'many' is text" in value.stderr
    device = seqbench_cli("check", "lstm", "--device", "gpu")
    assert device.returncode == 2
    assert "--device gpu: unknown device 'gpu'; did you mean 'cuda'?" in device.stderr


def test_step_is_checked_for_a_model_for_labels_only() -> None:
    wrong = replace(candidate("WrongStep"), kinds=("features/label",))
    (found,) = check_results(named(MODEL_CHECKS, "step"), wrong)
    assert "answers differ by" in found.got


def test_a_model_that_depends_on_values_does_not_fail() -> None:
    found = {one.check: one for one in check_results(MODEL_CHECKS, candidate("DependsOnValues"))}
    assert {one.check for one in found.values() if one.result == "failed"} == set()
    for name in ("device", "macs"):
        assert "depends on values" in found[name].note


def test_a_wrong_parameter_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="gru has no parameter 'hiden_size'; did you mean"):
        conformance("gru", hiden_size=8)


SETS_THREADS = """
    import torch

    assert torch.get_num_threads() == 1
    torch.set_num_threads(3)

    class Encoder(torch.nn.Linear):
        pass
    """


def test_conformance_uses_one_thread_and_notices_a_plugin_that_changes_it(site: Path) -> None:
    install_encoder(site, "settles", "Encoder", SETS_THREADS)
    build, check_globals = named(MODEL_CHECKS, "build", "globals")
    torch.set_num_threads(2)
    test = conformance("settles")
    test(build)
    assert torch.get_num_threads() == 2
    with pytest.raises(pytest.fail.Exception, match=r"changed: torch\.get_num_threads\(\)"):
        test(check_globals)
    assert torch.get_num_threads() == 2


def test_a_changed_setting_is_noticed_without_earlier_checks() -> None:
    (found,) = check_results(named(MODEL_CHECKS, "globals"), candidate("SetsThreads"))
    assert "torch.get_num_threads()" in found.got
