"""`seqbench check`: correct plugins pass, every planted bug is caught by the right check."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import install, install_encoder

from seqbench import DataContext, DatasetSpec, Param
from seqbench.errors import UsageError
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.registry import Offer, Origin
from seqbench.runner.context import local_workspace
from seqbench.testing import conformance
from seqbench.testing.plugin_checks.candidate import Candidate
from seqbench.testing.plugin_checks.datasets import DATASET_CHECKS, DatasetCandidate
from seqbench.testing.plugin_checks.job import check_payload, run_checks, subject_and_checks
from seqbench.testing.plugin_checks.models import MODEL_CHECKS
from seqbench.testing.plugin_checks.results import Check, CheckResult, check_results

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
    "DoublePrecision": ("build", "returned torch.float64, not torch.float32"),
    "NoShortSequences": ("sizes", "Invalid computed output size"),
    "NoBatchOfOne": ("build", "for an input of shape (1, 2, "),
    "NoLengthOfOne": ("sizes", "shape"),
    "Overwrites": ("input", "it was changed in place"),
    "OwnSeed": ("globals", "building the model sets a seed"),
    "NoSeed": ("globals", "Python's random (draw random numbers from torch's default generator)"),
    "PlainTensor": ("device", "register_buffer lets .to() move it"),
    "Unsaved": ("weights", "some of its state is neither a parameter nor a persistent buffer"),
    "ReseedsInForward": ("globals", "calling the model sets a seed"),
    "ChangesThreads": ("globals", "torch.get_num_threads()"),
    "SetsThreads": ("globals", "torch.get_num_threads()"),
    "WrongStep": ("step", "answers differ by"),
    "OverwritesState": ("step", "a second step from the same state differs by"),
    "BothWays": ("ahead", "8 of 16 features depend at the last step on that step only"),
    "BackwardFirst": ("ahead", "only features of the first half do"),
    "ClaimsBothWays": ("ahead", "no feature does"),
    "MeanOverPadding": ("padding", "a sequence of 1 step, padded to 2 in a batch, differs by"),
    "DividesByTheWrongLength": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "OneStepTooMany": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "OneStepTooFew": ("padding", "of 2 steps, the longest of a batch, differs by"),
    "OtherWithLengths": ("padding", "of 2 steps, the longest of a batch, differs by"),
    "OtherIfAllAreFull": ("padding", "it differs by"),
    "ChangesLengths": ("padding", "they were changed in place"),
    "LastPaddedStep": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "BackwardFromThePadding": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "PacksSorted": ("padding", "must be sorted in decreasing order"),
    "StaysSorted": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "SortsTwice": ("padding", "padded to 6 in a batch, differs by"),
    "AttendsToPadding": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "MasksTheQueries": ("padding", "of 1 step, padded to 2 in a batch, differs by"),
    "MasksInEvaluationOnly": ("padding", "in training mode, with other padding than zeros"),
    "OpensToPadding": ("padding", "answer (not with its initial weights)"),
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
    assert {one.check for one in found if one.result == "skipped"} == {
        "dropout",
        "step",
        "training_step",
    }


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught_by_name_and_only_once(bug: str) -> None:
    """One cause gives one failure: checks that presuppose another one are skipped."""
    expected, message = BUGS[bug]
    random.seed(0)
    few = replace(candidate(bug), kinds=("features/label", "tokens/label_per_step"))
    (caught,) = failures(check_results(MODEL_CHECKS[1:], few))
    assert caught.check == expected
    assert message in caught.got
    assert caught.expected


@pytest.mark.parametrize("lengths", ["any", "bounded", "fixed"])
def test_a_model_of_fixed_length_fails_once_or_declares_it(lengths: str) -> None:
    choice = Choice("whole", {}, "buggy:Whole", "seqbench", "0", kind="model", lengths=lengths)
    found = {one.check: one for one in check_results(MODEL_CHECKS, Candidate(choice))}
    failed = failures(found.values())
    if lengths == "fixed":
        assert not failed
        assert found["sizes"].note == "it declares lengths='fixed'"
    else:
        (sizes,) = failed
        assert (sizes.check, "declare ModelSpec(..., lengths='fixed')" in sizes.got) == (
            "sizes",
            True,
        )
    ran = {name for name, one in found.items() if one.result != "skipped"}
    # The others use the length that it accepts.
    assert found.keys() - ran == {"dropout", "step", "padding", "training_step"}


OWN_STEPS = {
    "Wise": "",
    "PerSequence": "a tensor of shape (4,) and torch.float32, not a scalar tensor with a gradient",
    "Detached": "a tensor without a gradient, not a scalar tensor with a gradient",
    "TwoArguments": "must take one argument, a seqbench.Batch",
    "NeedsLengths": "AttributeError",
}


@pytest.mark.parametrize("name", OWN_STEPS)
def test_a_training_step_of_its_own_is_checked(name: str) -> None:
    choice = Choice(name, {}, f"buggy:{name}", "seqbench", "0", kind="model")
    checks = named(MODEL_CHECKS, "training_step", "gradients")
    found = list(check_results(checks, Candidate(choice, ("features/label",))))
    if name == "Wise":  # its auxiliary head has a gradient in its own step only
        assert [one.result for one in found] == ["ok", "ok"]
        return
    assert [one.result for one in found] == ["failed", "skipped"]
    assert OWN_STEPS[name] in found[0].got


def test_the_kinds_of_task_are_hinted_at_if_a_whole_model_does_not_answer_one() -> None:
    choice = Choice("m", {}, "buggy:Wise", "seqbench", "0", kind="model")
    subject = Candidate(choice, ("features/label", "features/label_per_step"))
    (failed,) = check_results(named(MODEL_CHECKS, "answer"), subject)
    assert failed.expected.endswith("; or declare tasks without 'features/label_per_step'")


def test_a_package_tests_stop_at_the_cause_too(site: Path) -> None:
    code = """
        import random
        import torch

        class Encoder(torch.nn.Linear):
            def forward(self, x):
                return super().forward(x) * random.random()
        """
    install_encoder(site, "noisy", "Encoder", code)
    noise, rows = named(MODEL_CHECKS, "noise", "rows")
    test = conformance("noisy")
    with pytest.raises(pytest.fail.Exception, match="random after"):
        test(noise)
    with pytest.raises(pytest.skip.Exception, match="`noise` failed"):
        test(rows)


def failures(found: Iterable[CheckResult]) -> list[CheckResult]:
    return [one for one in found if one.result == "failed"]


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
    found = {
        one.check: one
        for one in check_results(named(DATASET_CHECKS, "load", expected), dataset(bug, tmp_path))
    }
    assert found[expected].result == "failed", found
    assert message in found[expected].got


def dataset(name: str, folder: Path, **params: Any) -> DatasetCandidate:
    choice = Choice(name, {"seed": 3, **params}, f"buggy:{name}", "seqbench", "0")
    return DatasetCandidate(choice, DataContext(None, folder, lambda text: None), other_seed=4)


def test_rare_classes_and_a_seed_of_the_validation_split_are_warnings(tmp_path: Path) -> None:
    classes, seed = named(DATASET_CHECKS, "classes", "seed")
    rare = classes(dataset("lacks_a_rare_class", tmp_path))
    assert (rare.result, rare.note) == (
        "warning",
        "no sequences of class 2, 3 in the training split (0.50% of the labels in other splits): "
        "no model can learn them",
    )
    without = seed(dataset("draws_only_validation", tmp_path, validation=0))
    assert without.result == "warning"
    assert "right only if the seed draws the validation split" in without.note


def test_another_seed_is_a_valid_one() -> None:
    for limits, seed, other in (
        ({"minimum": 0, "maximum": 3}, 3, 2),
        ({"choices": (0, 7)}, 7, 0),
        ({"minimum": 0, "maximum": 0}, 0, None),
    ):
        spec = DatasetSpec("d", "a:b", {"seed": Param(seed, **limits)})
        payload = check_payload(Offer(spec, Origin("d", "d", "1")), {})
        assert payload.other_seed == other


EAGER = """
    import seqbench
    import torch

    class Eager(torch.nn.Linear):
        pass

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("eager", build="eager:Eager", parameters={"out_features": 4})]
    """


@pytest.mark.slow
def test_check_reports_and_exits_1_where_something_failed(
    site: Path, seqbench_cli: Callable[..., Any]
) -> None:
    install(site, "eager", {"eager": EAGER}, "eager = eager")
    done = seqbench_cli("check", "eager")
    assert done.returncode == 1
    assert "a plugin declaration that does not import torch" in done.stdout
    assert "1 failed, 16 passed, 3 skipped" in " ".join(done.stdout.split()), done.stdout
    correct = seqbench_cli("check", "parity")
    assert correct.returncode == 0, correct.stdout
    assert "6 passed" in correct.stdout


CRASHING = EAGER.replace("        pass", """        def forward(self, x):
            import os
            if len(x) == 5:
                os.abort()
            return super().forward(x)""")  # fmt: skip


@pytest.mark.slow
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
    assert "no plugin offers 'lstmm'; did you mean 'lstm'?" in unknown.stderr
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


def test_whether_a_model_looks_ahead_is_reported_with_the_nearest_steps() -> None:
    (ahead,) = named(MODEL_CHECKS, "ahead")
    yes = "looks ahead: yes, the answer at step 1 of"
    notes = {
        "Correct": "looks ahead: no",
        "Whole": f"{yes} 6 changes with the input at step 2",
        "FarAhead": f"{yes} 64 changes with the input at step 22",
        "Gated": f"{yes} 2 changes with the input at step 2 (not with its initial weights)",
        "LearnsNothing": "its answers do not depend on its inputs",
    }
    for name, note in notes.items():
        subject = candidate(name)
        if name == "Whole":
            choice = replace(subject.choice, params={}, kind="model", lengths="fixed")
            subject = Candidate(choice)
        assert ahead(subject).note == note
    labels = replace(subject, kinds=("features/label",), choice=choice)
    assert ahead(labels).note == "it declares no task with a target per step"


def test_layers_in_both_directions_that_hide_it_are_a_warning() -> None:
    """The last step of the upper layer depends on all steps, so no feature shows its direction."""
    (ahead,) = named(MODEL_CHECKS, "ahead")
    found = ahead(candidate("StackedBothWays"))
    assert found.result == "warning"
    assert "layer is a bidirectional GRU, but the encoder's attribute `bidirectional`" in found.note


def test_a_lie_about_the_direction_is_shown_with_the_smallest_input() -> None:
    (ahead,) = named(MODEL_CHECKS, "ahead")
    assert ahead(candidate("ClaimsBothWays")).example.startswith("an input of shape (2, 2, 3)")


@pytest.mark.parametrize(
    ("name", "takes"), [("Correct", "no"), ("TakesLengths", "yes"), ("Restores", "yes"),
                        ("MasksTheKeys", "yes")],
)  # fmt: skip
def test_models_that_ignore_padding_pass(name: str, takes: str) -> None:
    (padding,) = named(MODEL_CHECKS, "padding")
    found = padding(candidate(name))
    assert (found.result, found.note) == ("ok", f"takes `lengths`: {takes}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Attends", "of 1 step, padded to 2 in a batch, differs by"),
        ("BothWays", "of 1 step, padded to 2 in a batch, differs by"),
        ("FindsPaddingByItsZeros", "with other padding than zeros, an answer differs by"),
        ("NormalizesTheBatch", "the means of BatchNorm1d include padding"),
    ],
)
def test_a_model_without_lengths_that_padding_changes_is_warned(name: str, message: str) -> None:
    (padding,) = named(MODEL_CHECKS, "padding")
    found = padding(candidate(name))
    assert (found.result, message in found.note) == ("warning", True), found
    assert "`train: {batches: one_length}`" in found.note


def test_padding_that_changes_an_answer_is_shown_with_the_smallest_batch() -> None:
    (padding,) = named(MODEL_CHECKS, "padding")
    found = padding(candidate("AttendsToPadding"))
    assert found.example.startswith(
        "features/label, readout last, lengths [1, 2], an input of shape (2, 2, 3)"
    )
    tokens = replace(candidate("AttendsToPadding"), kinds=("tokens/label_per_step",))
    shown = padding(tokens).example
    assert shown.startswith("tokens/label_per_step, lengths [1, 2], an input of shape (2, 2): [[")


def test_a_whole_model_is_checked_with_each_kind_of_task() -> None:
    (padding,) = named(MODEL_CHECKS, "padding")
    choice = Choice("whole", {}, "buggy:Pools", "seqbench", "0", kind="model")
    for kinds, result in (
        (("features/value", "tokens/label"), "ok"),
        (("features/value", "tokens/label", "features/label_per_step"), "failed"),
    ):
        assert padding(Candidate(choice, kinds)).result == result
    fixed = Candidate(replace(choice, lengths="fixed"))
    assert padding(fixed).note == "it accepts sequences of one length only"


def test_a_model_that_depends_on_values_does_not_fail() -> None:
    found = {one.check: one for one in check_results(MODEL_CHECKS, candidate("DependsOnValues"))}
    assert {one.check for one in found.values() if one.result == "failed"} == set()
    for name in ("device", "macs"):
        assert "depends on values" in found[name].note


def test_a_wrong_parameter_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="gru has no parameter 'hiden_size'; did you mean"):
        conformance("gru", hiden_size=8)


LIBRARY = """
    import os

    os.environ.setdefault("KMP_INIT_AT_FORK", "FALSE")
    """
USES_LIBRARY = """
    import os
    import torch

    class Encoder(torch.nn.Linear):
        def forward(self, x):
            import library_of_others
            {also}
            return super().forward(x)
    """


@pytest.mark.parametrize("also", ["pass", "os.environ['MY_FLAG'] = 'x'; os.environ.pop('HOME', 0)"])
def test_changed_variables_are_named_and_those_of_imports_are_a_warning(
    site: Path, monkeypatch: pytest.MonkeyPatch, also: str
) -> None:
    for name in ("KMP_INIT_AT_FORK", "MY_FLAG", "HOME"):
        monkeypatch.setenv(name, "before")  # and restore it afterwards
    monkeypatch.delenv("KMP_INIT_AT_FORK")
    install(site, "library", {"library_of_others": LIBRARY}, "")
    install_encoder(site, "imports", "Encoder", USES_LIBRARY.format(also=also))
    payload = check_payload(load_plugins().model("imports"), {})
    subject, _ = subject_and_checks(payload, local_workspace(Path()))
    (found,) = check_results(named(MODEL_CHECKS, "globals"), subject)
    if also == "pass":
        assert (found.result, found.note) == (
            "warning",
            "environment variables changed: KMP_INIT_AT_FORK (by importing library_of_others)",
        )
        check_globals = named(MODEL_CHECKS, "globals")[0]
        sys.modules.pop("library_of_others")
        os.environ.pop("KMP_INIT_AT_FORK")
        with pytest.warns(UserWarning, match="globals: environment variables changed: KMP_INIT"):
            conformance("imports")(check_globals)
    else:
        assert found.result == "failed"
        assert found.got == "changed: environment variables HOME, MY_FLAG"


ODD_NAMES = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        names = ("name", "device", "params", "choice", "function")
        return [seqbench.ModelSpec("odd", "odd_layer:Odd", dict.fromkeys(names, 2))]
    """
ODD_LAYER = """
    from torch import nn

    class Odd(nn.Linear):
        def __init__(self, n, /, *, name, device, params, choice, function):
            assert (name, device, params, choice, function) == (7, 7, 2, 2, 2)
            super().__init__(n, 4)
    """


def test_parameters_can_have_any_name(site: Path) -> None:
    """Also those of the arguments of seqbench's own functions."""
    install(site, "odd", {"odd": ODD_NAMES, "odd_layer": ODD_LAYER}, "odd = odd")
    (build,) = named(MODEL_CHECKS, "build")
    conformance("odd", params={"device": 7}, name=7)(build)


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
