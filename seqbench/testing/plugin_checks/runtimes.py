"""The checks of runtime plugins, on small recurrent models."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from seqbench.errors import reason_of
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.runtimes.base import PreparedCall
from seqbench.runtimes.compare import check_answer
from seqbench.testing.plugin_checks.candidate import LENGTH, Candidate, task_of
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.process_state import ProcessState, check_unchanged
from seqbench.testing.plugin_checks.results import Check, Violation, Warned
from seqbench.training.model import SequenceModel

#: Kinds of task, each with a batch size: both kinds of input, both shapes of answers.
SETTINGS = (("features/label", 1), ("features/label", 3), ("tokens/label_per_step", 2))


class _Recurrent(nn.Module):
    def __init__(self, input_size: int):
        super().__init__()
        self.layer = nn.GRU(input_size, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(x)[0]
        return hidden


@dataclass(frozen=True)
class RuntimeCandidate:
    """A runtime to check.

    Args:
        choice: the runtime.
        device_name: the device to check it on, by its name in suites.
    """

    choice: Choice
    device_name: str = "cpu"

    @cached_property
    def before(self) -> ProcessState:
        """The state of the process before any of the plugin's code ran."""
        return ProcessState.now()

    def settings(self) -> Iterator[tuple[str, nn.Module, Tensor]]:
        """A description, a model in evaluation mode on the device, and inputs."""
        source = Candidate(self.choice, device_name=self.device_name)
        for kind, batch in SETTINGS:
            torch.manual_seed(0)
            task = task_of(kind)
            width = 4 if task.input == "tokens" else task.input_size
            model = SequenceModel(task, _Recurrent(width), width, "last").to(source.device).eval()
            inputs = source.inputs(task, batch)
            yield f"{kind}, a batch of {batch}, length {LENGTH}", model, inputs

    def prepared(self, model: nn.Module, inputs: Tensor) -> PreparedCall:
        """The call for a setting, prepared on a copy of the model."""
        _ = self.before
        function = load_object(self.choice)
        threads = torch.get_num_threads()
        check_call(self.choice, function, model, inputs, threads=threads)
        with torch.no_grad():
            call = function(copy.deepcopy(model), inputs, threads=threads)
        return call if isinstance(call, PreparedCall) else PreparedCall(call)


def _imports_no_torch(candidate: RuntimeCandidate) -> None:
    declares_lightly(candidate.choice)


def _prepares(candidate: RuntimeCandidate) -> str:
    facts: dict[str, float] = {}
    for what, model, inputs in candidate.settings():
        try:
            prepared = candidate.prepared(model, inputs)
            with torch.inference_mode():
                prepared.call(inputs)
        except Exception as error:
            raise Violation("a call that takes the inputs", reason_of(error), what) from error
        facts |= prepared.facts
    return f"reports {', '.join(facts)}" if facts else ""


def _answers(candidate: RuntimeCandidate) -> None:
    """As before timing: the answers to two inputs are those of the plain model."""
    for what, model, inputs in candidate.settings():
        call = candidate.prepared(model, inputs).call
        with torch.inference_mode():
            for x in (inputs, inputs.flip(1), inputs):
                found, expected = call(x), model(x)
                try:
                    check_answer(found, expected, "the call")
                except Exception as error:
                    raise Violation("the answers of the model", str(error), what) from error


def _unchanged(candidate: RuntimeCandidate) -> None:
    for what, model, inputs in candidate.settings():
        before = inputs.clone()
        call = candidate.prepared(model, inputs).call
        with torch.inference_mode():
            call(inputs)
        if not torch.equal(inputs, before):
            raise Violation("unchanged inputs", "they were changed in place", what)


def _globals(candidate: RuntimeCandidate) -> None:
    _prepares(candidate)
    if remark := check_unchanged(candidate.before, candidate.choice):
        raise Warned(remark)


RUNTIME_CHECKS = (
    Check("import", "its declaration imports no torch", _imports_no_torch),
    Check("prepare", "it prepares a call for every kind of input", _prepares, needed=True),
    Check("input", "inputs are not changed in place", _unchanged),
    Check("answer", "the answers are those of the model", _answers, after=("input",)),
    Check("globals", "the global state of the process is unchanged", _globals),
)
