"""What is asked of every model plugin."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.devices.registry import device_for
from seqbench.errors import reason_of
from seqbench.testing.plugin_checks.answers import (
    NO_VALUES,
    answer,
    apart,
    check_answer,
    looks_at_values,
    model_loss,
    random_states,
)
from seqbench.testing.plugin_checks.candidate import (
    LENGTH,
    Candidate,
    example,
    global_state,
    unequal,
)
from seqbench.testing.plugin_checks.declaring import declares_lightly
from seqbench.testing.plugin_checks.learning import learns
from seqbench.testing.plugin_checks.results import Check, No, Skipped, Violation
from seqbench.training.stepping import can_step, run_steps

OTHER_LENGTHS = (1, 2, LENGTH + 1, 3 * LENGTH)


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
    for kind, task in candidate.tasks():
        x = candidate.inputs(task)
        check_answer(kind, task, x, answer(candidate.model(task), x))


def _any_size(candidate: Candidate) -> None:
    whole = candidate.choice.kind == "model"  # is told the longest length
    others = [length for length in OTHER_LENGTHS if length <= LENGTH or not whole]
    sizes = [(1, 1), (1, LENGTH), *((2, length) for length in others), (5, LENGTH)]
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for batch, length in sizes:
            x = candidate.inputs(task, batch, length)
            try:
                found = answer(model, x)
            except Exception as error:
                raise Violation(
                    f"an answer to {batch} sequence{'s' * (batch > 1)} of length {length}",
                    reason_of(error), f"{kind}, {example(x)}",
                ) from error  # fmt: skip
            check_answer(kind, task, x, found)


def _rows_apart(candidate: Candidate) -> None:
    """The answer to a sequence is the same whatever else is in its batch, before it or after it."""
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in (1, 2, LENGTH):
            x, others = (candidate.inputs(task, 2, length, seed) for seed in (0, 1))
            for row, words in ((0, ("second", "first")), (1, ("first", "second"))):
                changed = others.clone()
                changed[row] = x[row]
                by = apart(answer(model, x)[row], answer(model, changed)[row])
                if by:
                    raise Violation(
                        "the answer to a sequence not to depend on the others in its batch "
                        "(layers of torch that take (batch, time, …) need batch_first=True)",
                        f"with another {words[0]} row, the answer to the {words[1]} changes by "
                        f"{by}",
                        f"{kind}, {example(x)}",
                    )
            _place_apart(kind, model, candidate.inputs(task, 3, length))


def _place_apart(kind: str, model: nn.Module, x: Tensor) -> None:
    """Neither the size of the batch nor the place in it matters."""
    whole = answer(model, x)
    alone = torch.cat([answer(model, row) for row in torch.split(x, 1)])
    for found, how in ((alone, "alone"), (answer(model, x.flip(0)).flip(0), "in another order")):
        by = apart(whole, found)
        if by:
            raise Violation(
                "the answer to a sequence not to depend on its batch",
                f"of the same sequences {how}, the answers change by {by}",
                f"{kind}, {example(x)}",
            )


def _no_noise(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in (1, LENGTH):
            x = candidate.inputs(task, 1, length)
            answers = [answer(copy.deepcopy(model), x, seed) for seed in (0, 1, 1)]
            if not (torch.equal(answers[0], answers[1]) and torch.equal(answers[1], answers[2])):
                by = max(float((a - answers[0]).abs().max()) for a in answers)
                raise Violation(
                    "the same answer to the same input in evaluation mode",
                    f"answers differ by {by:.3g}: something random is not off after .eval()",
                    f"{kind}, {example(x)}",
                )


def _no_memory(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in (1, LENGTH):
            x, y = (candidate.inputs(task, 1, length, seed) for seed in (0, 1))
            first = answer(model, x)
            answer(model, y)
            again = answer(model, x)
            if not torch.equal(first, again):
                raise Violation(
                    "a call to leave nothing behind for the next one",
                    f"after a call with another input the answer changes by {apart(first, again)}",
                    f"{kind}, {example(x)}",
                )
            _no_memory_in_training(kind, model, x, y)


def _no_memory_in_training(kind: str, model: nn.Module, x: Tensor, y: Tensor) -> None:
    """What it may keep for later lies in buffers, and those are put back here."""
    fresh, used = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    answer(used, y)
    used.load_state_dict(model.state_dict())
    first, again = answer(fresh, x), answer(used, x)
    if not torch.equal(first, again):
        raise Violation(
            "a call in training to leave nothing behind for the next one, buffers aside",
            f"after a call with another input the answer changes by {apart(first, again)}",
            f"{kind}, {example(x)}",
        )


def _input_unchanged(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        x = candidate.inputs(task, 1, 2)
        before = x.clone()
        answer(candidate.model(task), x)
        if not torch.equal(x, before):
            raise Violation(
                "the input to be left as it is",
                "it was changed in place",
                f"{kind}, {example(before)}",
            )


def _dropout(candidate: Candidate) -> str:
    params: dict[str, Any] = {"dropout": 0.5}
    if "dropout" not in candidate.choice.params:
        raise Skipped("it has no parameter `dropout`")
    if "num_layers" in candidate.choice.params:
        params["num_layers"] = 2  # where dropout stands between layers
    _, task = next(candidate.tasks())
    try:
        model, x = candidate.model(task, **params), candidate.inputs(task)
    except Exception as error:
        raise Skipped(f"it cannot be built with {params}: {reason_of(error)}") from error
    still = [answer(model, x, seed) for seed in (0, 1)]
    if not torch.equal(*still):
        raise Violation("no dropout in evaluation mode", "answers differ from call to call")
    model.train()
    if torch.equal(*(answer(model, x, seed) for seed in (0, 1))):
        raise Violation(
            "dropout in training mode (where it stands between layers, call their number "
            "num_layers: with that it is built)",
            "the answers of two calls are the same",
            f"{params}",
        )
    return "in training only"


def _gradients(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model, x = candidate.model(task).train(), candidate.inputs(task, 4)
        model_loss(model, x, candidate.targets(task, 4), task).backward()  # type: ignore[no-untyped-call]
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        unreached = [name for name, p in named if p.grad is None]
        if unreached:
            raise Violation(
                "a gradient for every parameter",
                f"none reaches {', '.join(unreached)}: nothing depends on it",
                f"{kind}, {example(x)}",
            )
        wild = [name for name, p in named if p.grad is not None and not p.grad.isfinite().all()]
        if wild:
            raise Violation(
                "finite gradients", f"that of {', '.join(wild)} is not", f"{kind}, {example(x)}"
            )


def _seeded(candidate: Candidate) -> str:
    _, task = next(candidate.tasks())
    one, same, other = (candidate.model(task, seed).state_dict() for seed in (0, 0, 1))
    differ = unequal(one, same)
    if differ:
        raise Violation(
            "the same weights for the same seed",
            f"{', '.join(differ)} differ: draw from torch's own generator",
        )
    if one and not unequal(one, other):
        raise Violation("other weights for another seed", "they are the same")
    return ""


def _device(candidate: Candidate) -> str:
    """A tensor that is no buffer stays behind when a model moves to another device.

    Where the device under examination is the host itself, torch's ``meta`` is another device.
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
            kept = "is a tensor kept as a plain attribute? register_buffer moves it along"
            hint = kept if "device" in str(error) else "on another device"
            raise Violation(
                f"an answer on {there} after .to({str(there)!r})",
                f"{reason_of(error)} ({hint})",
                kind,
            ) from error
        check_answer(kind, task, x, moved)
        if not without_values:
            by = apart(before, moved.cpu(), rtol=1e-3, atol=1e-4)
            if by:
                raise Violation(f"the same answer on {there}", f"it differs by {by}", kind)
            if not torch.equal(answer(model.to(there).cpu(), x), before):
                raise Violation("the same answer after the way back", "it differs", kind)
    return str(there)


def _weights(candidate: Candidate) -> None:
    from safetensors.torch import load_model, save_model

    for kind, task in candidate.tasks():
        model, other = (candidate.model(task, seed).cpu() for seed in (0, 1))
        x = candidate.inputs(task).cpu()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "weights.safetensors")
            save_model(model, path)
            load_model(other, path)
        by = apart(answer(model, x), answer(other, x), rtol=0, atol=0)
        if by:
            raise Violation(
                "the same answers after saving the weights and loading them into a fresh model",
                f"they differ by {by}: something that matters is no parameter and no buffer",
                f"{kind}, {example(x)}",
            )


def _globals(candidate: Candidate) -> None:
    changed = [name for name, was in candidate.before.items() if global_state()[name] != was]
    if changed:
        raise Violation("the process to be left as it was", f"changed: {', '.join(changed)}")
    for kind, task in candidate.tasks():
        before = random_states()
        model = candidate.model(task)
        x = candidate.inputs(task)
        model_loss(model.train(), x, candidate.targets(task), task).backward()  # type: ignore[no-untyped-call]
        changed = [name for name, was in before.items() if random_states()[name] != was]
        if changed:
            raise Violation(
                "the process to be left as it was", f"changed: {', '.join(changed)}", kind
            )
        for what, draw in (("building the model", None), ("calling the model", model)):
            after = []
            for seed in (1, 2):
                torch.manual_seed(seed)
                candidate.model(task, seed) if draw is None else draw(x)
                after.append(torch.get_rng_state())
            if torch.equal(*after):
                raise Violation(
                    "torch's seed to be the user's", f"{what} sets a seed of its own", kind
                )


def _steps(candidate: Candidate) -> str:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        if not can_step(model):
            raise Skipped("it offers no `step`")
        for length in (1, 2, LENGTH):
            x = candidate.inputs(task, 2, length)
            with torch.no_grad():
                answers, _ = run_steps(model, x)
            per_step = task.target == "label_per_step"
            found = torch.stack(answers, dim=1) if per_step else answers[-1]
            whole = answer(model, x)
            by = apart(found, whole)
            if by:
                first = [t for t in range(length) if per_step and apart(found[:, t], whole[:, t])]
                at = f", at step {first[0]} for the first time (counted from 0)" if first else ""
                raise Violation(
                    "`step`, one step after the other, to answer as the whole sequence does",
                    f"answers differ by {by}{at}", f"{kind}, {example(x)}",
                )  # fmt: skip
        _state_left(kind, model, candidate.inputs(task, 2, 2))
    return ", ".join(candidate.kinds)


def _state_left(kind: str, model: Any, x: Tensor) -> None:
    """Whether a step from one state can be made again from it."""
    with torch.no_grad():
        _, state = model.step(x[:, 0], None)
        one, other = (model.step(x[:, 1], state)[0] for _ in range(2))
    if not torch.equal(one, other):
        raise Violation(
            "`step` to return a new state and to leave the one it was given as it is",
            f"from the same state again, the answer differs by {apart(one, other, rtol=0, atol=0)}",
            f"{kind}, {example(x)}",
        )


def _countable(candidate: Candidate) -> str:
    from seqbench.measure.cost import count_macs

    _, task = next(candidate.tasks())
    try:
        return f"{count_macs(candidate.model(task).cpu(), task):,} for one sequence"
    except Exception as error:
        if looks_at_values(error):
            raise Skipped(NO_VALUES) from error
        raise Violation(
            "its multiply-accumulates to be countable on the device `meta`", reason_of(error)
        ) from error


def _compiles(candidate: Candidate) -> None:
    _, task = next(candidate.tasks())
    model, x = candidate.model(task), candidate.inputs(task)
    try:
        # The backend that compiles nothing: what matters here is that it is captured in one piece.
        compiled = torch.compile(copy.deepcopy(model), fullgraph=True, backend="aot_eager")
        by = apart(answer(model, x), answer(compiled, x), rtol=1e-3, atol=1e-4)
    except Exception as error:
        raise No(_briefly(error)) from error
    if by:
        raise No(f"compiled, its answer differs by {by}")


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
        raise No(f"exported, its answer differs by {by}")


MODEL_CHECKS = (
    Check("import", "declaring it imports no torch", _imports_no_torch),
    Check("build", "it can be built for each kind of task that it claims", _builds, needed=True),
    Check("answer", "shape and type of the answer are the task's", _answers),
    Check("sizes", "batches of 1, sequences of 1, and other lengths", _any_size),
    Check("rows", "sequences of a batch do not influence each other", _rows_apart),
    Check("noise", "evaluation is deterministic", _no_noise),
    Check("memory", "a call leaves nothing behind for the next", _no_memory),
    Check("input", "inputs are not changed in place", _input_unchanged),
    Check("dropout", "dropout acts in training, and only there", _dropout),
    Check("gradients", "they reach every parameter and are finite", _gradients),
    Check("seed", "same seed, same weights; another seed, others", _seeded),
    Check("device", "it moves to another device", _device),
    Check("weights", "they make the round trip through safetensors", _weights),
    Check("globals", "the process is left as it was", _globals),
    Check("step", "step by step gives what the sequence gives", _steps),
    Check("learns", "the loss falls on a tiny task", learns),
    Check("macs", "multiply-accumulates can be counted", _countable),
)

#: Reported, and not required.
OPTIONAL_CHECKS = (
    Check("compiles", "torch.compile takes it whole", _compiles),
    Check("exports", "torch.export takes it", _exports),
)


def _briefly(error: BaseException) -> str:
    """What a compiler says first; it says much more."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
