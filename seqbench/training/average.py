"""The running average of a model's weights (``train.ema``)."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from seqbench.errors import PluginError, reason_of
from seqbench.training.weights import own_buffers


def average_of(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """The exponential moving average of all parameters and buffers; None without a ``decay``.

    Its first update copies the weights; each later one gives them the weight 1 - ``decay``.

    Raises:
        PluginError: the model cannot be copied.
    """
    if decay is None:
        return None
    own_buffers(model)
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    try:
        return AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    except Exception as error:  # of the plugin's code, or of torch for an unusual attribute
        raise PluginError(f"train.ema: cannot copy the model: {reason_of(error)}") from error
