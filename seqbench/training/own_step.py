"""A model's own ``training_step(batch) -> loss``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from seqbench.errors import PluginError
from seqbench.training.split import Batch

NAME = "training_step"

OwnStep = Callable[[Batch], Tensor]


def own_step_of(model: nn.Module) -> OwnStep | None:
    """The model's own ``training_step``, with its result checked at every call; None if it has
    none, or is a LightningModule, whose ``training_step`` is another one.

    Raises:
        PluginError: it does not take a batch alone.
    """
    step = getattr(model, NAME, None)
    if not callable(step) or is_lightning(model):
        return None
    who = f"{type(model).__module__}.{type(model).__qualname__}.{NAME}"
    try:
        inspect.signature(step).bind(None)
    except TypeError as error:
        raise PluginError(f"{who} must take one argument, a seqbench.Batch: {error}") from None
    except ValueError:  # some callables have no signature
        pass

    def own_step(batch: Batch) -> Tensor:
        loss = step(batch)
        problem = _problem_with(loss)
        if problem:
            raise PluginError(f"{who} returned {problem}, not a scalar tensor with a gradient")
        checked: Tensor = loss
        return checked

    return own_step


def refuse_own_step(encoder: nn.Module, who: str) -> None:
    """Raise PluginError if an encoder has a ``training_step``: it would know neither the embedding
    nor the readout, so it could not be used.

    Args:
        who: the plugin.
    """
    if callable(getattr(encoder, NAME, None)) and not is_lightning(encoder):
        raise PluginError(
            f"{who}: {type(encoder).__name__}.{NAME} is not used, since an encoder has neither "
            "embedding nor readout: declare it with kind='model', or give the method another name"
        )


def lightning_warning(model: nn.Module) -> str:
    """That seqbench does not train a LightningModule as Lightning would; "" for other models."""
    if not any(map(is_lightning, model.modules())):
        return ""
    return (
        f"is a LightningModule: its {NAME} and configure_optimizers are not used; train.* decides"
    )


def _problem_with(loss: Any) -> str:
    """What is wrong with the result of a ``training_step``; "" if nothing is."""
    if not isinstance(loss, Tensor):
        return f"{type(loss).__name__}"
    if loss.dim() or not loss.is_floating_point():
        return f"a tensor of shape {tuple(loss.shape)} and {loss.dtype}"
    return "" if loss.requires_grad else "a tensor without a gradient"


def is_lightning(model: nn.Module) -> bool:
    """Whether a module is a LightningModule, or looks like one: it also configures optimizers.

    Lightning is not imported.
    """
    bases = {base.__name__ for base in type(model).__mro__}
    return "LightningModule" in bases or all(
        callable(getattr(model, name, None)) for name in (NAME, "configure_optimizers")
    )
