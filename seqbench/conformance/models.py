"""What is asked of every model plugin."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqbench import models, training
from seqbench.conformance.candidate import (
    CLASSES,
    FEATURES,
    LENGTH,
    Candidate,
    example,
    unequal,
)
from seqbench.conformance.findings import Check, No, Skipped, Violation
from seqbench.records import Choice
from seqbench.types import Task

#: How far answers may lie apart that are computed in another order (fp32).
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
OTHER_LENGTHS = (1, 2, LENGTH + 1, 3 * LENGTH)
LEARNING_STEPS, LEARNING_RATE, LEARNING_BATCH = 150, 0.02, 32
#: The loss after learning, of that before, that shows that something was learnt.
LEARNT = 0.7


def _imports_no_torch(candidate: Candidate) -> None:
    declares_lightly(candidate.choice)


def declares_lightly(choice: Choice) -> None:
    """Whether a plugin's hooks can be called without torch; asked of a fresh Python.

    Raises:
        Violation: they cannot.
    """
    code = (
        "import importlib.metadata, sys\n"
        "for point in importlib.metadata.distribution(sys.argv[1]).entry_points:\n"
        "    if point.group == 'seqbench':\n"
        "        found = point.load()\n"
        "        for hook in ('seqbench_models', 'seqbench_datasets'):\n"
        "            getattr(found, hook, list)()\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, choice.distribution],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if done.returncode:
        raise Violation("the plugin to load", done.stderr.strip().rpartition("\n")[2])
    if done.stdout.split()[-1:] == ["True"]:
        raise Violation(
            "that declaring the plugin imports no torch",
            "it does: import it in the module that `build` names, not in the one with the hooks",
        )


def _builds(candidate: Candidate) -> str:
    for kind, task in candidate.tasks():
        try:
            candidate.model(task)
        except Exception as error:
            raise Violation(f"a model for {kind}", _said(error)) from error
    return ", ".join(candidate.kinds)


def _answers(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        x = candidate.inputs(task)
        _check_answer(kind, task, x, _answer(candidate.model(task), x))


def _any_size(candidate: Candidate) -> None:
    sizes = [(1, 1), (1, LENGTH), *((2, length) for length in OTHER_LENGTHS), (5, LENGTH)]
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for batch, length in sizes:
            x = candidate.inputs(task, batch, length)
            try:
                answer = _answer(model, x)
            except Exception as error:
                raise Violation(
                    f"an answer to {batch} sequence{'s' * (batch > 1)} of length {length}",
                    _said(error), f"{kind}, {example(x)}",
                ) from error  # fmt: skip
            _check_answer(kind, task, x, answer)


def _rows_apart(candidate: Candidate) -> None:
    """The answer to a sequence is the same whatever else is in its batch."""
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in (1, 2, LENGTH):
            x = candidate.inputs(task, 2, length)
            other = torch.stack([x[0], candidate.inputs(task, 2, length, seed=1)[1]])
            apart = _apart(_answer(model, x)[0], _answer(model, other)[0])
            if apart:
                raise Violation(
                    "the answer to a sequence not to depend on the others in its batch",
                    f"with another second row, the answer to the first changes by {apart}",
                    f"{kind}, {example(x)}",
                )


def _no_noise(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in (1, LENGTH):
            x = candidate.inputs(task, 1, length)
            answers = [_answer(copy.deepcopy(model), x, seed) for seed in (0, 1, 1)]
            if not (torch.equal(answers[0], answers[1]) and torch.equal(answers[1], answers[2])):
                apart = max(float((a - answers[0]).abs().max()) for a in answers)
                raise Violation(
                    "the same answer to the same input in evaluation mode",
                    f"answers differ by {apart:.3g}: something random is not off after .eval()",
                    f"{kind}, {example(x)}",
                )


def _no_memory(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        for length in (1, LENGTH):
            x, y = (candidate.inputs(task, 1, length, seed) for seed in (0, 1))
            first = _answer(model, x)
            _answer(model, y)
            again = _answer(model, x)
            if not torch.equal(first, again):
                raise Violation(
                    "a call to leave nothing behind for the next one",
                    f"after a call with another input the answer changes by {_apart(first, again)}",
                    f"{kind}, {example(x)}",
                )


def _input_unchanged(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        x = candidate.inputs(task, 1, 2)
        before = x.clone()
        _answer(candidate.model(task), x)
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
    model, x = candidate.model(task, **params), candidate.inputs(task)
    still = [_answer(model, x, seed) for seed in (0, 1)]
    if not torch.equal(*still):
        raise Violation("no dropout in evaluation mode", "answers differ from call to call")
    model.train()
    if torch.equal(*(_answer(model, x, seed) for seed in (0, 1))):
        raise Violation(
            "dropout in training mode", "the answers of two calls are the same", f"{params}"
        )
    return "in training only"


def _gradients(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        model, x = candidate.model(task).train(), candidate.inputs(task, 4)
        _loss(model, x, candidate.targets(task, 4), task).backward()  # type: ignore[no-untyped-call]
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
    """On a device of its own, or, on a CPU, on the one without values: a tensor that is no buffer
    stays behind.
    """
    there = candidate.device if candidate.device.type != "cpu" else torch.device("meta")
    for kind, task in candidate.tasks():
        x = candidate.inputs(task).cpu()
        model = candidate.model(task).cpu()
        before = _answer(model, x)
        try:
            moved = _answer(copy.deepcopy(model).to(there), x.to(there))
        except Exception as error:
            hint = "is a tensor kept as a plain attribute? register_buffer moves it along"
            raise Violation(
                f"an answer on {there} after .to({str(there)!r})", f"{_said(error)} ({hint})", kind
            ) from error
        _check_answer(kind, task, x, moved)
        if there.type != "meta":
            apart = _apart(before, moved.cpu(), rtol=1e-3, atol=1e-4)
            if apart:
                raise Violation(f"the same answer on {there}", f"it differs by {apart}", kind)
            if not torch.equal(_answer(model.to(there).cpu(), x), before):
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
        apart = _apart(_answer(model, x), _answer(other, x), rtol=0, atol=0)
        if apart:
            raise Violation(
                "the same answers after saving the weights and loading them into a fresh model",
                f"they differ by {apart}: something that matters is no parameter and no buffer",
                f"{kind}, {example(x)}",
            )


def _globals(candidate: Candidate) -> None:
    for kind, task in candidate.tasks():
        before = dict(_global_state())
        model = candidate.model(task)
        x = candidate.inputs(task)
        _loss(model.train(), x, candidate.targets(task), task).backward()  # type: ignore[no-untyped-call]
        _answer(model.eval(), x)
        changed = [name for name, value in _global_state() if before[name] != value]
        if changed:
            raise Violation(
                "the process to be left as it was", f"changed: {', '.join(changed)}", kind
            )
        after = []
        for seed in (1, 2):
            candidate.model(task, seed)
            after.append(torch.get_rng_state())
        if torch.equal(*after):
            raise Violation(
                "torch's seed to be the user's", "building the model sets a seed of its own", kind
            )


def _global_state() -> Iterator[tuple[str, Any]]:
    """What belongs to the whole process and would change other trials in it."""
    yield "the state of Python's random", random.getstate()
    if "numpy" in sys.modules:
        import numpy as np

        yield "the state of numpy's random", str(np.random.get_state())
    yield "torch.get_num_threads()", torch.get_num_threads()
    yield "torch.get_default_dtype()", torch.get_default_dtype()
    yield "torch.get_default_device()", torch.get_default_device()
    yield "torch.is_grad_enabled()", torch.is_grad_enabled()
    yield "deterministic algorithms", torch.are_deterministic_algorithms_enabled()
    yield "anomaly detection", torch.is_anomaly_enabled()
    yield "TF32 (matmul)", torch.backends.cuda.matmul.allow_tf32
    yield "TF32 (cudnn)", torch.backends.cudnn.allow_tf32
    yield "cudnn.benchmark", torch.backends.cudnn.benchmark
    yield "float32 matmul precision", torch.get_float32_matmul_precision()
    yield "the working folder", Path.cwd()
    yield "environment variables", dict(os.environ)


def _steps(candidate: Candidate) -> str:
    done = []
    for kind, task in candidate.tasks():
        model = candidate.model(task)
        if not models.can_step(model):
            raise Skipped("it offers no `step`")
        if task.target != "label_per_step":
            continue
        for length in (1, 2, LENGTH):
            x = candidate.inputs(task, 2, length)
            with torch.no_grad():
                answers, _ = models.steps(model, x)
            apart = _apart(torch.stack(answers, dim=1), _answer(model, x))
            if apart:
                raise Violation(
                    "`step`, one step after the other, to answer as the whole sequence does",
                    f"answers differ by {apart}", f"{kind}, {example(x)}",
                )  # fmt: skip
        done.append(kind)
    return ", ".join(done)


def _learns(candidate: Candidate) -> str:
    """Which of the classes, or what value, the first step names: learnt in seconds, or never."""
    _, task = next(candidate.tasks())
    x, y = _lesson(candidate, task)
    model = candidate.model(task).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for _ in range(LEARNING_STEPS):
        optimizer.zero_grad()
        loss = _loss(model, x, y, task)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    if not losses[-1] < LEARNT * losses[0]:
        raise Violation(
            f"the loss to fall below {LEARNT:g} of what it was in {LEARNING_STEPS} steps",
            f"it went from {losses[0]:.3g} to {losses[-1]:.3g}",
            f"{LEARNING_BATCH} sequences of length 3, Adam, learning rate {LEARNING_RATE:g}",
        )
    return f"loss {losses[0]:.3g} → {losses[-1]:.3g} in {LEARNING_STEPS} steps"


def _lesson(candidate: Candidate, task: Task) -> tuple[Tensor, Tensor]:
    """Sequences of three equal steps; the answer stands in each of them."""
    draw = torch.Generator().manual_seed(0)
    label = torch.arange(LEARNING_BATCH) % CLASSES
    if task.input == "tokens":
        x = label.unsqueeze(1).expand(-1, 3).contiguous()
    else:
        where = torch.randn(CLASSES, FEATURES, generator=draw)
        x = where[label].unsqueeze(1).expand(-1, 3, -1).contiguous()
    if task.target == "value":
        y = torch.nn.functional.one_hot(label, CLASSES).float()
    elif task.target == "label_per_step":
        y = label.unsqueeze(1).expand(-1, 3).contiguous()
    else:
        y = label
    return x.to(candidate.device), y.to(candidate.device)


def _countable(candidate: Candidate) -> str:
    from seqbench.measure.cost import count_macs

    _, task = next(candidate.tasks())
    try:
        return f"{count_macs(candidate.model(task).cpu(), task):,} for one sequence"
    except Exception as error:
        raise Violation(
            "its multiply-accumulates to be countable on the device `meta`", _said(error)
        ) from error


def _compiles(candidate: Candidate) -> None:
    _, task = next(candidate.tasks())
    model, x = candidate.model(task), candidate.inputs(task)
    try:
        # The backend that compiles nothing: what matters here is that it is captured in one piece.
        compiled = torch.compile(copy.deepcopy(model), fullgraph=True, backend="aot_eager")
        apart = _apart(_answer(model, x), _answer(compiled, x), rtol=1e-3, atol=1e-4)
    except Exception as error:
        raise No(_briefly(error)) from error
    if apart:
        raise No(f"compiled, its answer differs by {apart}")


def _exports(candidate: Candidate) -> None:
    _, task = next(candidate.tasks())
    model, x = candidate.model(task), candidate.inputs(task)
    try:
        with torch.no_grad():
            exported = torch.export.export(model, (x,)).module()
        apart = _apart(_answer(model, x), _answer(exported, x), rtol=1e-3, atol=1e-4)
    except Exception as error:
        raise No(_briefly(error)) from error
    if apart:
        raise No(f"exported, its answer differs by {apart}")


CHECKS = (
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
    Check("learns", "the loss falls on a tiny task", _learns),
    Check("macs", "multiply-accumulates can be counted", _countable),
)
#: Reported, and not required.
OPTIONAL = (
    Check("compiles", "torch.compile takes it whole", _compiles),
    Check("exports", "torch.export takes it", _exports),
)


def _answer(model: Callable[[Tensor], Tensor], x: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(x)


def _loss(model: nn.Module, x: Tensor, y: Tensor, task: Task) -> Tensor:
    return training.loss_of(model(x), y, task)


def _check_answer(kind: str, task: Task, x: Tensor, answer: Any) -> None:
    steps = (x.shape[1],) if task.target == "label_per_step" else ()
    expected = (x.shape[0], *steps, task.output_size)
    came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    if came != expected or answer.dtype != torch.float32:
        what = f"{answer.dtype} of shape {came}" if isinstance(answer, Tensor) else came
        raise Violation(
            f"torch.float32 of shape {expected}", f"{what} came", f"{kind}, {example(x)}"
        )
    if answer.device.type != "meta" and not answer.isfinite().all():
        raise Violation("a finite answer", "NaN or infinity came", f"{kind}, {example(x)}")


def _apart(one: Tensor, other: Tensor, **close: float) -> str:
    """By how much two answers differ at most, in words; ``""`` if they are close."""
    if one.shape != other.shape:
        return f"their shape ({tuple(one.shape)} and {tuple(other.shape)})"
    if torch.allclose(one, other, **{**CLOSE, **close}):  # type: ignore[arg-type]
        return ""
    return f"{float((one - other).abs().max()):.3g}"


def _briefly(error: BaseException) -> str:
    """What a compiler says first; it says much more."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


def _said(error: BaseException) -> str:
    from seqbench.worker import reason_of

    return reason_of(error)
