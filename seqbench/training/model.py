"""Models as ``torch.nn.Module``: embedding, the plugin's encoder, readout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object, parameters_of
from seqbench.training.own_step import refuse_own_step
from seqbench.training.split import Batch
from seqbench.types import ENCODER_PARAMETERS, Task


def forward_of(model: nn.Module) -> Callable[[Batch], Tensor]:
    """The call of a model with a batch. It gets ``lengths`` if anything is padded and its
    ``forward`` takes them.
    """
    takes = takes_lengths(model)

    def forward(batch: Batch) -> Tensor:
        if batch.lengths is None or not takes:
            answer: Tensor = model(batch.inputs)
        else:
            answer = model(batch.inputs, lengths=batch.lengths)
        return answer

    return forward


def takes_lengths(module: nn.Module) -> bool:
    """Whether a module's ``forward`` has a parameter ``lengths``."""
    return "lengths" in parameters_of(module.forward)


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
    refuse_own_step(encoder, f"{choice.name!r} of {choice.distribution} {choice.version}")
    return SequenceModel(task, encoder, width, shared["readout"])


class SequenceModel(nn.Module):
    """An encoder with an embedding for tokens and a readout for the task.

    Args:
        task: determines the embedding and the shape of the answer.
        encoder: (batch, time, width) → (batch, time, hidden). If its attribute ``bidirectional``
            is true, the second half of ``hidden`` runs backward in time. If its ``forward`` takes
            ``lengths``, it gets those of a padded batch.
        width: size of one input step of the encoder.
        readout: ``"last"``, ``"mean"`` or ``"max"``: what of all true steps the answer for a
            sequence is read from.
    """

    def __init__(self, task: Task, encoder: nn.Module, width: int, readout: str):
        super().__init__()
        tokens = task.input == "tokens"
        self.embedding = nn.Embedding(task.input_size, width) if tokens else None
        self.encoder = encoder
        self.head = nn.Linear(_hidden_size(encoder, width), task.output_size)
        self.per_step = task.per_step
        self.readout = readout
        self.passes_lengths = takes_lengths(encoder)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answers to a batch.

        Args:
            x: (batch, time, features), or (batch, time) for tokens.
            lengths: true number of steps of each sequence, (batch,) int64, on the CPU; None if
                nothing is padded.
        """
        if self.embedding is not None:
            x = self.embedding(x)  # (batch, time) → (batch, time, width)
        if lengths is not None and self.passes_lengths:
            hidden = self.encoder(x, lengths=lengths)  # (batch, time, hidden)
        else:
            hidden = self.encoder(x)
        if not self.per_step:
            hidden = self._summary(hidden, lengths)  # (batch, hidden)
        answer: Tensor = self.head(hidden)  # (batch, [time,] output_size)
        return answer

    def forward_with_state(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The answers to a batch that continues an earlier one, and the state at its end.

        Requires a target at each step, and that the encoder has ``forward_with_state(x, state)``,
        which takes (batch, time, width) and returns (batch, time, hidden) and its new state.

        Args:
            x: (batch, time, features), or (batch, time) for tokens.
            state: that at the end of the earlier batch; None at the beginning.
        """
        if self.embedding is not None:
            x = self.embedding(x)
        hidden, state = self.encoder.forward_with_state(x, state)  # type: ignore[operator]
        return self.head(hidden), state

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The answer after one more step, and the new state.

        Requires that the encoder has ``step(x, state)``, which takes (batch, width) and returns
        (batch, hidden) and its new state.

        Args:
            x: (batch, features), or (batch,) for tokens.
            state: the state that the previous step returned; None for the first step.
        """
        inner, total, count = state if state is not None else (None, None, 0)
        if self.embedding is not None:
            x = self.embedding(x)
        hidden, inner = self.encoder.step(x, inner)  # type: ignore[operator]
        if self.per_step or self.readout == "last":
            return self.head(hidden), (inner, total, count)
        if self.readout == "max":
            total = hidden if total is None else torch.maximum(total, hidden)
            return self.head(total), (inner, total, count)
        total, count = hidden if total is None else total + hidden, count + 1
        return self.head(total / count), (inner, total, count)

    def _summary(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """(batch, time, hidden) → (batch, hidden)"""
        if self.readout == "last":
            return self._last(hidden, lengths)
        if lengths is None:
            return hidden.mean(dim=1) if self.readout == "mean" else hidden.amax(dim=1)
        lengths = lengths.to(hidden.device)[:, None]
        padding = (torch.arange(hidden.shape[1], device=hidden.device) >= lengths)[..., None]
        if self.readout == "max":
            return hidden.masked_fill(padding, -torch.inf).amax(dim=1)
        # In float32 at least until it is divided, as torch's own mean.
        exact = torch.promote_types(hidden.dtype, torch.float32)
        total = hidden.masked_fill(padding, 0).sum(dim=1, dtype=exact)
        return (total / lengths).to(hidden.dtype)

    def _last(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """The last true step; of a backward direction the first, where it ends."""
        bidirectional = getattr(self.encoder, "bidirectional", False)
        forward, backward = hidden.chunk(2, dim=-1) if bidirectional else (hidden, None)
        if lengths is None:
            last = forward[:, -1]
        else:
            rows = torch.arange(len(lengths), device=hidden.device)
            last = forward[rows, lengths.to(hidden.device) - 1]
        return last if backward is None else torch.cat([last, backward[:, 0]], dim=-1)


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
