"""Models as ``torch.nn.Module``: embedding, the plugin's encoder, readout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.types import ENCODER_PARAMETERS, Task


def build_model(choice: Choice, task: Task) -> nn.Module:
    """Build the model with fresh weights, on torch's default device.

    Raises:
        PluginError: the plugin's function cannot be found, or does not return a module.
        Exception: any error of the plugin's own code.
    """
    function = load_object(choice)
    parameters = dict(choice.params)
    if choice.kind == "model":
        check_call(choice, function, task, **parameters)
        return _checked(choice, function(task, **parameters))
    shared = {name: parameters.pop(name) for name in ENCODER_PARAMETERS}
    width = shared["embedding_size"] if task.input == "tokens" else task.input_size
    check_call(choice, function, width, **parameters)
    encoder = _checked(choice, function(width, **parameters))
    return SequenceModel(task, encoder, width, shared["readout"])


class SequenceModel(nn.Module):
    """An encoder with an embedding for tokens and a readout for the task.

    Args:
        task: determines the embedding and the shape of the answer.
        encoder: (batch, time, width) → (batch, time, hidden). If its attribute ``bidirectional``
            is true, the second half of ``hidden`` runs backward in time.
        width: size of one input step of the encoder.
        readout: ``"last"`` or ``"mean"``: which steps the answer for a sequence is read from.
    """

    def __init__(self, task: Task, encoder: nn.Module, width: int, readout: str):
        super().__init__()
        tokens = task.input == "tokens"
        self.embedding = nn.Embedding(task.input_size, width) if tokens else None
        self.encoder = encoder
        self.head = nn.Linear(_hidden_size(encoder, width), task.output_size)
        self.per_step = task.target == "label_per_step"
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        if self.embedding is not None:
            x = self.embedding(x)  # (batch, time) → (batch, time, width)
        hidden = self.encoder(x)  # (batch, time, hidden)
        if not self.per_step:
            hidden = self._summary(hidden)  # (batch, hidden)
        answer: Tensor = self.head(hidden)  # (batch, [time,] output_size)
        return answer

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The answer after one more step, and the new state.

        Requires that the encoder has ``step(x, state)``, which takes (batch, width) and returns
        (batch, hidden) and its new state.

        Args:
            x: (batch, features), or (batch,) for tokens.
            state: the state that the previous step returned; None for the first step.
        """
        inner, total, count = state if state is not None else (None, 0.0, 0)
        if self.embedding is not None:
            x = self.embedding(x)
        hidden, inner = self.encoder.step(x, inner)  # type: ignore[operator]
        if self.readout == "mean" and not self.per_step:
            total, count = total + hidden, count + 1
            return self.head(total / count), (inner, total, count)
        return self.head(hidden), (inner, total, count)

    def _summary(self, hidden: Tensor) -> Tensor:
        if self.readout == "mean":
            return hidden.mean(dim=1)
        if getattr(self.encoder, "bidirectional", False):
            forward, backward = hidden.chunk(2, dim=-1)
            return torch.cat([forward[:, -1], backward[:, 0]], dim=-1)
        return hidden[:, -1]


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, trainable or not; shared ones count once, complex ones twice."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters())


def _checked(choice: Choice, module: Any) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise PluginError(
            f"{choice.name!r} of {choice.distribution} {choice.version}: {choice.import_path} "
            f"returned {type(module).__name__}, not a torch.nn.Module"
        )
    return module


def _hidden_size(encoder: nn.Module, width: int) -> int:
    """The encoder's hidden size, found by a call with two steps of zeros.

    Mode and random state are left unchanged.
    """
    device = next((p.device for p in encoder.parameters()), torch.get_default_device())
    training = encoder.training
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        hidden = encoder.eval()(torch.zeros(1, 2, width, device=device))
    encoder.train(training)
    if not isinstance(hidden, Tensor) or hidden.dim() != 3 or tuple(hidden.shape[:2]) != (1, 2):
        got = tuple(hidden.shape) if isinstance(hidden, Tensor) else type(hidden).__name__
        raise PluginError(
            f"the encoder {type(encoder).__name__} returned {got} for an input of shape "
            f"(1, 2, {width}), not (1, 2, hidden)"
        )
    if hidden.dtype != torch.get_default_dtype():
        raise PluginError(
            f"the encoder {type(encoder).__name__} returned {hidden.dtype}, not "
            f"{torch.get_default_dtype()}"
        )
    return hidden.shape[2]
