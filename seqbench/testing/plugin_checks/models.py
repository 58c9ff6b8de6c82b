"""The checks of model plugins."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.devices.registry import device_for
from seqbench.errors import PluginError, reason_of
from seqbench.testing.plugin_checks.ahead import looks_ahead
from seqbench.testing.plugin_checks.answers import (
    NO_VALUES,
    answer,
    apart,
    check_answer,
    looks_at_values,
    model_loss,
)
from seqbench.testing.plugin_checks.candidate import (
    LENGTH,
    Candidate,
    example,
    unequal,
)
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.learning import learns
from seqbench.testing.plugin_checks.own_steps import gives_a_loss, training_loss
from seqbench.testing.plugin_checks.padding import ignores_padding
from seqbench.testing.plugin_checks.process_state import (
    GLOBALS_UNCHANGED,
    check_unchanged,
    random_states,
)
from seqbench.testing.plugin_checks.results import Check, No, Skipped, Violation, Warned
from seqbench.testing.plugin_checks.sizes import accepted_lengths, any_size, smallest_batch
from seqbench.training.stepping import can_step, run_steps
from seqbench.training.weights import (
    check_savable,
    load_weights,
    save_weights,
    state_outside,
    what_is_missing,
)


def _imports_no_torch(candidate: Candidate) -> None:
    declares_lightly(candidate.choice)


def _builds(candidate: Candidate) -> str:
    for kind, task in candidate.tasks():
        try:
            candidate.model(task)
        except Exception as error:
            raise Violation(f"a model for {kind}", reason_of(error)) from error
    return ", ".join(candidate.kinds)


def _answers(candidate: Candidate) -> None:
    whole = candidate.choice.kind == "model"  # an encoder does not know the task
    for kind, task in candidate.tasks():
        x = candidate.inputs(task)
        hint = f"; or declare tasks without {kind!r}" if whole else ""
        check_answer(kind, task, x, answer(candidate.model(task), x), hint)


def _rows_apart(candidate: Candidate) -> None:
    """The answer to a sequence does not depend on other sequences in its batch."""
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in accepted_lengths(candidate, kind, task, (1, 2, LENGTH)):
            x, others = (candidate.inputs(task, 2, length, seed) for seed in (0, 1))
            for row, words in ((0, ("second", "first")), (1, ("first", "second"))):
                changed = others.clone()
                changed[row] = x[row]
                by = apart(answer(model, x)[row], answer(model, changed)[row])
                if by:
                    raise Violation(
                        "answers that do not depend on other sequences in the batch "
                        "(torch's recurrent layers need batch_first=True)",
                        f"with another {words[0]} row, the answer to the {words[1]} changes by "
                        f"{by}",
                        f"{kind}, {example(x)}",
                    )
            alone = smallest_batch(candidate, kind, task) == 1
            _batch_independent(kind, model, candidate.inputs(task, 3, length), alone=alone)


def _batch_independent(kind: str, model: nn.Module, x: Tensor, *, alone: bool) -> None:
    """Neither the size of the batch (if it accepts one) nor the position in it matters."""
    whole = answer(model, x)
    others = [(answer(model, x.flip(0)).flip(0), "in another order")]
    if alone:
        apart_rows = torch.cat([answer(model, row) for row in torch.split(x, 1)])
        others.insert(0, (apart_rows, "one at a time"))
    for other, how in others:
        by = apart(whole, other)
        if by:
            raise Violation(
                "answers that do not depend on the batch",
                f"for the same sequences {how}, the answers change by {by}",
                f"{kind}, {example(x)}",
            )


def _no_noise(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        batch = smallest_batch(candidate, kind, task)
        for length in accepted_lengths(candidate, kind, task, (1, LENGTH)):
            x = candidate.inputs(task, batch, length)
            answers = [answer(copy.deepcopy(model), x, seed) for seed in (0, 1, 1)]
            if not (torch.equal(answers[0], answers[1]) and torch.equal(answers[1], answers[2])):
                by = max(float((a - answers[0]).abs().max()) for a in answers)
                raise Violation(
                    "deterministic answers in evaluation mode",
                    f"answers differ by {by:.3g}: the model is still random after .eval()",
                    f"{kind}, {example(x)}",
                )


def _no_memory(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        batch = smallest_batch(candidate, kind, task)
        for length in accepted_lengths(candidate, kind, task, (1, LENGTH)):
            x, y = (candidate.inputs(task, batch, length, seed) for seed in (0, 1))
            first = answer(model, x)
            answer(model, y)
            second = answer(model, x)
            if not torch.equal(first, second):
                raise Violation(
                    "no state carried over to the next call",
                    f"after a call with another input the answer changes by {apart(first, second)}",
                    f"{kind}, {example(x)}",
                )
            _no_memory_in_training(kind, model, x, y)


def _no_memory_in_training(kind: str, model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Only buffers may carry state over to the next call; they are restored here."""
    fresh, used = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    answer(used, y)
    used.load_state_dict(model.state_dict())
    first, second = answer(fresh, x), answer(used, x)
    if not torch.equal(first, second):
        raise Violation(
            "no state but buffers carried over to the next call in training mode",
            f"after a call with another input the answer changes by {apart(first, second)}",
            f"{kind}, {example(x)}",
        )


def _input_unchanged(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        (length,) = accepted_lengths(candidate, kind, task, (2,))
        x = candidate.inputs(task, smallest_batch(candidate, kind, task), length)
        before = x.clone()
        answer(candidate.model(task), x)
        if not torch.equal(x, before):
            raise Violation(
                "an unchanged input",
                "it was changed in place",
                f"{kind}, {example(before)}",
            )


def _dropout(candidate: Candidate) -> str:
    params: dict[str, Any] = {"dropout": 0.5}
    if "dropout" not in candidate.choice.params:
        raise Skipped("no parameter `dropout`")
    if "num_layers" in candidate.choice.params:
        params["num_layers"] = 2  # dropout may act between layers only
    _, task = next(candidate.tasks())
    try:
        model, x = candidate.model(task, **params), candidate.inputs(task)
    except Exception as error:
        raise Skipped(f"cannot be built with {params}: {reason_of(error)}") from error
    answers = [answer(model, x, seed) for seed in (0, 1)]
    if not torch.equal(*answers):
        raise Violation("no dropout in evaluation mode", "answers differ between calls")
    model.train()
    if torch.equal(*(answer(model, x, seed) for seed in (0, 1))):
        raise Violation(
            "dropout in training mode (if it acts between layers only, name their number "
            "num_layers: the model is then built with 2)",
            "two calls give the same answer",
            f"{params}",
        )
    return "in training mode only"


def _gradients(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model, x = candidate.model(task).train(), candidate.inputs(task, 4)
        training_loss(model, x, candidate.targets(task, 4), task).backward()  # type: ignore[no-untyped-call]
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        unreached = [name for name, p in named if p.grad is None]
        if unreached:
            raise Violation(
                "a gradient for every parameter",
                f"no gradient for {', '.join(unreached)}: the loss does not depend on it",
                f"{kind}, {example(x)}",
            )
        bad = [name for name, p in named if p.grad is not None and not p.grad.isfinite().all()]
        if bad:
            raise Violation(
                "finite gradients",
                f"NaN or infinite gradients of {', '.join(bad)}",
                f"{kind}, {example(x)}",
            )


def _seeded(candidate: Candidate) -> str:
    _, task = next(candidate.tasks())
    one, same, other = (candidate.model(task, seed).state_dict() for seed in (0, 0, 1))
    differ = unequal(one, same)
    if differ:
        raise Violation(
            "the same weights for the same seed",
            f"{', '.join(differ)} differ: use torch's default generator",
        )
    if one and not unequal(one, other):
        raise Violation("different weights for another seed", "the same weights")
    return ""


def _device(candidate: Candidate) -> str:
    """The model moves to another device; a tensor that is not a buffer would stay behind.

    If the model is checked on the host itself, the other device is torch's ``meta``.
    """
    without_values = device_for(candidate.device_name).uses_host_memory
    there = torch.device("meta") if without_values else candidate.device
    for kind, task in candidate.tasks():
        x = candidate.inputs(task).cpu()
        model = candidate.model(task).cpu()
        before = answer(model, x)
        try:
            moved = answer(copy.deepcopy(model).to(there), x.to(there))
        except Exception as error:
            if without_values and looks_at_values(error):
                raise Skipped(NO_VALUES) from error
            plain = "is a tensor a plain attribute? register_buffer lets .to() move it"
            hint = plain if "device" in str(error) else "on another device"
            raise Violation(
                f"an answer on {there} after .to({str(there)!r})",
                f"{reason_of(error)} ({hint})",
                kind,
            ) from error
        check_answer(kind, task, x, moved)
        if not without_values:
            by = apart(before, moved.cpu(), rtol=1e-3, atol=1e-4)
            if by:
                raise Violation(f"the same answer on {there}", f"a difference of {by}", kind)
            if not torch.equal(answer(model.to(there).cpu(), x), before):
                raise Violation("the same answer after moving back", "another answer", kind)
    return str(there)


def _weights(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model, other = (candidate.model(task, seed).cpu() for seed in (0, 1))
        try:
            check_savable(model, candidate.choice)
        except PluginError as error:
            raise Violation("a state dict of dense tensors", str(error), kind) from error
        x = candidate.inputs(task).cpu()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            save_weights(model, path)
            load_weights(other, path)
        by = apart(answer(model, x), answer(other, x), rtol=0, atol=0)
        outside = state_outside(model)
        if by:
            raise Violation(
                "the same answers from a new model with the saved weights",
                f"answers differ by {by}: {what_is_missing(other, outside)}",
                f"{kind}, {example(x)}",
            )


def _globals(candidate: Candidate) -> None:
    check_unchanged(candidate.before, candidate.choice)  # by earlier checks
    for kind, task in candidate.tasks():
        before = random_states()
        model = candidate.model(task)
        x = candidate.inputs(task)
        model_loss(model.train(), x, candidate.targets(task), task).backward()  # type: ignore[no-untyped-call]
        changed = [name for name, was in before.items() if random_states()[name] != was]
        if changed:
            hint = "draw random numbers from torch's default generator"
            raise Violation(GLOBALS_UNCHANGED, f"changed: {', '.join(changed)} ({hint})", kind)
        for what, draw in (("building the model", None), ("calling the model", model)):
            after = []
            for seed in (1, 2):
                torch.manual_seed(seed)
                candidate.model(task, seed) if draw is None else draw(x)
                after.append(torch.get_rng_state())
            if torch.equal(*after):
                raise Violation("torch's seed left to the caller", f"{what} sets a seed", kind)
    if remark := check_unchanged(candidate.before, candidate.choice):
        raise Warned(remark)


def _steps(candidate: Candidate) -> str:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        if not can_step(model):
            raise Skipped("no method `step`")
        for length in accepted_lengths(candidate, kind, task, (1, 2, LENGTH)):
            x = candidate.inputs(task, 2, length)
            with torch.no_grad():
                answers, _ = run_steps(model, x)
            per_step = task.per_step
            stepped = torch.stack(answers, dim=1) if per_step else answers[-1]
            whole = answer(model, x)
            by = apart(stepped, whole)
            if by:
                wrong = [t for t in range(length) if per_step and apart(stepped[:, t], whole[:, t])]
                at = f", first at step {wrong[0]} (counted from 0)" if wrong else ""
                raise Violation(
                    "the answers of the whole sequence from `step`",
                    f"answers differ by {by}{at}",
                    f"{kind}, {example(x)}",
                )
        _state_unchanged(kind, model, candidate.inputs(task, 2, 2))
    return ", ".join(candidate.kinds)


def _state_unchanged(kind: str, model: Any, x: Tensor) -> None:
    """A step does not modify the state that it is called with."""
    with torch.no_grad():
        _, state = model.step(x[:, 0], None)
        one, other = (model.step(x[:, 1], state)[0] for _ in range(2))
    if not torch.equal(one, other):
        raise Violation(
            "a `step` that does not modify the state it is called with",
            f"a second step from the same state differs by {apart(one, other, rtol=0, atol=0)}",
            f"{kind}, {example(x)}",
        )


def _countable(candidate: Candidate) -> str:
    from seqbench.measure.cost import count_macs

    _, task = next(candidate.tasks())
    try:
        return f"{count_macs(candidate.model(task).cpu(), task):,} per sequence"
    except Exception as error:
        if looks_at_values(error):
            raise Skipped(NO_VALUES) from error
        raise Violation("a forward pass on the device `meta`", reason_of(error)) from error


def _compiles(candidate: Candidate) -> None:
    _, task = next(candidate.tasks())
    model, x = candidate.model(task), candidate.inputs(task)
    try:
        # A backend without compilation: the check is only whether there are no graph breaks.
        compiled = torch.compile(copy.deepcopy(model), fullgraph=True, backend="aot_eager")
        by = apart(answer(model, x), answer(compiled, x), rtol=1e-3, atol=1e-4)
    except Exception as error:
        raise No(_briefly(error)) from error
    if by:
        raise No(f"the compiled model's answer differs by {by}")


def _exports(candidate: Candidate) -> None:
    _, task = next(candidate.tasks())
    model, x = candidate.model(task), candidate.inputs(task)
    try:
        with torch.no_grad():
            exported = torch.export.export(model, (x,)).module()
        by = apart(answer(model, x), answer(exported, x), rtol=1e-3, atol=1e-4)
    except Exception as error:
        raise No(_briefly(error)) from error
    if by:
        raise No(f"the exported model's answer differs by {by}")


#: The checks that others presuppose come before them.
MODEL_CHECKS = (
    Check("import", "its declaration imports no torch", _imports_no_torch),
    Check("build", "it can be built for each declared kind of task", _builds, needed=True),
    Check("answer", "shape and type of the answer match the task", _answers, needed=True),
    Check("sizes", "batches of 1, sequences of length 1, and other lengths work", any_size),
    Check("noise", "evaluation is deterministic", _no_noise),
    Check("memory", "no state carries over to the next call", _no_memory, after=("noise",)),
    Check(
        "rows", "sequences in a batch do not influence each other", _rows_apart,
        after=("noise", "memory"),
    ),
    Check("input", "inputs are not changed in place", _input_unchanged),
    Check("dropout", "dropout acts in training mode only", _dropout, after=("noise",)),
    Check("training_step", "its own `training_step` returns a loss", gives_a_loss),
    Check(
        "gradients", "every parameter gets a finite gradient", _gradients,
        after=("training_step",),
    ),
    Check("device", "it moves to another device", _device, after=("noise", "memory")),
    Check(
        "weights", "they survive a round trip through safetensors", _weights,
        after=("noise", "memory", "input"),
    ),
    Check("globals", "the global state of the process is unchanged", _globals, after=("noise",)),
    Check("seed", "the seed determines the weights", _seeded, after=("globals",)),
    Check(
        "step", "`step` gives the answers of the whole sequence", _steps, after=("noise", "memory")
    ),
    Check(
        "ahead", "`bidirectional` is true if an encoder reads backward, and only then", looks_ahead,
        after=("noise", "memory", "input"),
    ),
    Check(
        "padding", "padding at the end of a sequence does not change its answer", ignores_padding,
        after=("sizes", "noise", "memory", "rows", "input"),
    ),
    Check("learns", "the loss falls on a tiny task", learns, after=("input", "gradients")),
    Check("macs", "multiply-accumulates can be counted", _countable, after=("memory", "device")),
)  # fmt: skip

#: Reported, but not required.
OPTIONAL_CHECKS = (
    Check("compiles", "torch.compile compiles it without graph breaks", _compiles, optional=True),
    Check("exports", "torch.export exports it", _exports, optional=True),
)


def _briefly(error: BaseException) -> str:
    """The first line of a compiler's error."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
