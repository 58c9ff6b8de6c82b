"""Which of torch's kernels a model runs: "LSTM is faster than GRU" may be an effect of that."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

METHOD = "operators that torch dispatched in one forward pass at batch 1"

#: Fused kernels have one of these in their names: ``mkldnn_rnn_layer``, ``_cudnn_rnn``,
#: ``_lstm_mps``, ``_scaled_dot_product_flash_attention_for_cpu``.
FUSED = ("rnn", "lstm", "gru", "attention", "encoder_layer")

#: So many operators are named at most, those that were run most often.
MOST_NAMED = 8

#: What cuDNN's recurrent layers say when they copy their weights together at every call.
SCATTERED = "not part of single contiguous chunk"


def run_by(model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    """What one forward pass ran on the device where ``model`` and ``inputs`` are.

    Returns:
        ``ops``: the operators that multiply matrices, and fused ones, as ``{"name", "count"}``, the
        most frequent first; ``warnings``: what makes the model slower than it need be, one line
        for each.
    """
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # also what was said before
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with torch.inference_mode(), _Recorder() as recorder:
                model(inputs)
    finally:
        torch.set_warn_always(always)
    scattered = any(SCATTERED in str(warning.message) for warning in said)
    advice = (
        "the weights of a recurrent layer lie scattered and are copied together at every call: "
        "let the model call flatten_parameters()"
    )
    ops = [{"name": name, "count": count} for name, count in recorder.most_common(MOST_NAMED)]
    return {"ops": ops, "warnings": [advice] * scattered}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's is untyped
    """Counts operators below autograd, where composite ones have come apart into kernels."""

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
        with self:  # aten::gru, say, comes apart into what it does step by step
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        packet = func._overloadpacket
        name = str(packet).replace(".", "::")
        if packet in flop_registry or any(part in name for part in FUSED):
            self._counts[name] += 1
        return func(*args, **kwargs)
