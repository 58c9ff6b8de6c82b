"""Which of torch's kernels a model runs; it may explain why an LSTM is faster than a GRU."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

METHOD = "operators dispatched by torch in one forward pass at batch 1"

#: Names of fused kernels contain one of these: ``mkldnn_rnn_layer``, ``_cudnn_rnn``,
#: ``_lstm_mps``, ``_scaled_dot_product_flash_attention_for_cpu``.
FUSED = ("rnn", "lstm", "gru", "attention", "encoder_layer")

#: At most this many operators are listed, the most frequent ones.
MAX_LISTED = 8

#: Warning of cuDNN's recurrent layers when they copy their weights together at every call.
SCATTERED = "not part of single contiguous chunk"


def recorded_operators(model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    """Record the operators of one forward pass, on the device of ``model`` and ``inputs``.

    Returns:
        ``ops``: matrix products and fused operators as ``{"name", "count"}``, the most frequent
        first; ``warnings``: avoidable reasons for a slow model, one line each.
    """
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # also warnings that were already shown
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            with torch.inference_mode(), _Recorder() as recorder:
                model(inputs)
    finally:
        torch.set_warn_always(always)
    scattered = any(SCATTERED in str(warning.message) for warning in raised)
    advice = (
        "the weights of a recurrent layer are not contiguous and are copied at every call: "
        "call flatten_parameters() in the model"
    )
    ops = [{"name": name, "count": count} for name, count in recorder.most_common(MAX_LISTED)]
    return {"ops": ops, "warnings": [advice] if scattered else []}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is untyped
    """Counts operators below autograd, where composite ones are decomposed into kernels."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counts: Counter[str] = Counter()

    def most_common(self, number: int) -> list[tuple[str, int]]:
        return self._counts.most_common(number)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        with self:  # aten::gru, for example, is decomposed into its steps
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        packet = func._overloadpacket
        name = str(packet).replace(".", "::")
        if packet in flop_registry or any(part in name for part in FUSED):
            self._counts[name] += 1
        return func(*args, **kwargs)
