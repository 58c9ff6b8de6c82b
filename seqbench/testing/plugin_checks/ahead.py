"""The check whether a model looks ahead, and whether an encoder tells its direction truly."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqbench.testing.plugin_checks.answers import answer
from seqbench.testing.plugin_checks.candidate import LENGTH, Candidate, example, nudged
from seqbench.testing.plugin_checks.results import Skipped, Violation, Warned
from seqbench.testing.plugin_checks.sizes import accepted_lengths
from seqbench.training.causality import Ahead, Untestable, differing, find_ahead, other_steps
from seqbench.training.model import SequenceModel

#: From the smallest on; the longest shows what depends only on steps far ahead.
LENGTHS = (2, LENGTH, 3 * LENGTH, 64)

WHY = "the readout takes the second half of a bidirectional encoder's features at the first step"

Part = Callable[[Tensor], Tensor]


def looks_ahead(candidate: Candidate) -> str:
    """Report whether a model looks ahead, and check an encoder's attribute ``bidirectional``.

    Raises:
        Violation: the attribute is wrong.
        Skipped: a whole model that does not answer at every step, or whether it looks ahead cannot
            be tested.
        Warned: the encoder contains a bidirectional layer of torch, but lacks the attribute.
    """
    if candidate.choice.kind == "encoder":
        return _encoder(candidate)
    kinds = [one for one in candidate.tasks() if one[0].endswith("_per_step")]
    if not kinds:
        raise Skipped("it declares no task with a target per step")
    for kind, task in kinds:
        inputs = [
            candidate.inputs(task, 2, length)
            for length in accepted_lengths(candidate, kind, task, LENGTHS)
        ]
        found = _found(candidate.model(task), inputs)
        if found:
            return found
    return "looks ahead: no"


def _encoder(candidate: Candidate) -> str:
    kind, task = next(candidate.tasks())
    model = candidate.model(task)
    assert isinstance(model, SequenceModel)
    width = task.input_size if model.embedding is None else model.embedding.embedding_dim
    draw = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(2, length, width, generator=draw).to(candidate.device)
        for length in accepted_lengths(candidate, kind, task, LENGTHS)
    ]
    encoder: nn.Module = model.encoder
    found = _found(encoder, inputs)
    if getattr(encoder, "bidirectional", False):
        if not _found(encoder, inputs, lambda hidden: hidden.chunk(2, dim=-1)[1]):
            got = "no feature does" if not found else "only features of the first half do"
            raise Violation(
                "features that depend on later steps in the second half of those of an encoder "
                f"whose attribute `bidirectional` is true ({WHY})",
                got,
                example(inputs[0]),
            )
    elif found:
        _reads_only_forward(encoder, inputs)
        _contains_no_bidirectional_layer(encoder, found)
    return found or "looks ahead: no"


def _found(model: nn.Module, inputs: list[Tensor], part: Part = lambda hidden: hidden) -> str:
    """Where an answer depends on a later step, in words; "" if nowhere.

    Args:
        part: which part of the answers to look at.

    Raises:
        Skipped: it cannot be tested.
    """
    depends = False
    for weights, module in (("", model), (" (not with its initial weights)", nudged(model))):
        for x in inputs:
            try:
                ahead: Ahead | None = find_ahead(lambda x, of=module: part(answer(of, x)), x)  # type: ignore[misc]
                depends = depends or _depends_on_input(module, x)
            except Untestable as untestable:
                if weights:  # they may be weights that training would never give
                    break
                raise Skipped(str(untestable)) from untestable
            if ahead:
                return f"looks ahead: yes, {ahead}{weights}"
    if not depends:
        raise Skipped("its answers do not depend on its inputs")
    return ""


def _depends_on_input(model: nn.Module, x: Tensor) -> bool:
    return bool(differing(answer(model, other_steps(x)), answer(model, x)).any())


def _reads_only_forward(encoder: nn.Module, inputs: list[Tensor]) -> None:
    """Raise Violation if features run backward in time, without the attribute that says so.

    At the last step such a feature depends on no step before, at the first step on the last one.
    """
    for x in inputs:
        other, hidden = other_steps(x), answer(encoder, x)
        earlier, last = x.clone(), x.clone()
        earlier[:, :-1], last[:, -1] = other[:, :-1], other[:, -1]
        with_earlier = differing(answer(encoder, earlier), hidden).any(0)  # (time, features)
        with_last = differing(answer(encoder, last), hidden).any(0)
        backward = with_last[0] & with_last[-1] & ~with_earlier[-1]
        if 2 < x.shape[1] <= LENGTH and backward.any():
            raise Violation(
                "an attribute `bidirectional` that is true for an encoder that reads backward, "
                f"with these features in the second half ({WHY})",
                f"it is not true, but {int(backward.sum())} of {len(backward)} features depend at "
                "the last step on that step only, and at the first step on the last",
                example(x),
            )


def _contains_no_bidirectional_layer(encoder: nn.Module, found: str) -> None:
    """Raise Warned for a stack of layers in both directions, whose last steps depend on all."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.RNNBase) and module.bidirectional:
            raise Warned(
                f"{found}; {name or 'it'} is a bidirectional {type(module).__name__}, but the "
                "encoder's attribute `bidirectional` is not true, so the readout takes all "
                "features at the last step, where one direction has only begun"
            )
