"""The subject of a measurement: a trained model on its device, with real inputs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqbench.devices.registry import device_for, use_full_precision
from seqbench.errors import NotApplicable
from seqbench.measure.payloads import TrainedModel
from seqbench.plugins.provenance import check_unchanged
from seqbench.runtimes.registry import EAGER
from seqbench.training.answers import check_answers
from seqbench.training.data import open_splits
from seqbench.training.estimators import EstimatorModel, Predict
from seqbench.training.fresh import FreshSplit
from seqbench.training.model import build_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.refitting import check_refit, refitted
from seqbench.training.split import Batch
from seqbench.training.weights import load_weights
from seqbench.workers.context import Workspace


class Subject:
    """A case's trained model, loaded as its user would load it. An estimator is fitted again.

    Args:
        trained: the model, with its data and weights.
        workspace: the folders that those files are relative to.
        check: whether to call :meth:`check` here. A job that measures a first call or an untouched
            process passes False and calls it later, before it returns a figure.

    ``kind`` is the device's kind, ``device`` the device in torch; ``cold`` holds the seconds for
    building the model and for loading its weights, nothing for an estimator; ``timed`` is what
    latency is measured of: the model, or the estimator's `predict`.

    Raises:
        PluginError: the model's package has changed since the run was planned, its weights cannot
            be loaded, or :meth:`check` fails.
        NotApplicable: :meth:`check` fails for an estimator.
    """

    def __init__(self, trained: TrainedModel, workspace: Workspace, *, check: bool = True):
        check_unchanged(trained.model)  # the weights belong to that version
        self.choice = trained.model
        self.kind = device_for(trained.device)
        self.device = self.kind.torch_device(trained.device)
        self.splits: PreparedSplits = open_splits(workspace.cache / trained.data, trained.train)
        self._trained = trained
        self.cold: dict[str, float] = {}
        self.model: nn.Module
        self.timed: nn.Module
        if trained.model.is_estimator:
            refit = trained.refit
            assert refit is not None
            fitted = refitted(trained.model, self.splits, seed=refit.seed, form=refit.form)
            self.model, self.timed = fitted, Predict(fitted)
        else:
            clock = time.perf_counter()
            self.model = self.timed = build_model(trained.model, self.splits.task)
            built = time.perf_counter()
            use_full_precision()
            self._weights = workspace.run / trained.weights
            self.load()
            self.model.to(self.device).eval()
            self.synchronize()
            self.cold = {"build_s": built - clock, "load_s": time.perf_counter() - built}
        if check:
            self.check()

    def load(self) -> None:
        """Load the trained weights, again if they were changed."""
        load_weights(self.model, self._weights)

    def check(self) -> None:
        """Check that the loaded model answers as the trained one did.

        Raises:
            PluginError: it does not; the text says why.
            NotApplicable: an estimator does not.
        """
        if isinstance(self.model, EstimatorModel):
            check_refit(self.model, self.splits, self._trained.answers)
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(self._trained.train.get("threads", 1))  # rounding depends on it
        try:
            check_answers(
                self.model,
                self.splits,
                self.device,
                self._trained.answers,
                choice=self._trained.model,
            )
        finally:
            torch.set_num_threads(threads)

    def synchronize(self) -> None:
        """Wait until the device has finished all submitted operations."""
        self.kind.synchronize(self.device)

    def require_setting(self, runtime: str, threads: int) -> None:
        """Raise NotApplicable if the model cannot be run in this way."""
        if not self.choice.is_estimator:
            return
        if runtime != EAGER:
            raise NotApplicable(f"an estimator has no runtimes but {EAGER}, which is its predict")
        if threads != 1:
            raise NotApplicable("an estimator is timed on one thread only")

    def require_length(self, length: int) -> None:
        """Raise NotApplicable if the model declares that it does not accept this length."""
        if reason := self.choice.why_not_length(length, self.splits.task.length):
            raise NotApplicable(reason)

    def require_lengths(self, rows: Sequence[Tensor]) -> None:
        """Raise NotApplicable if the model does not accept the lengths of test sequences, or their
        padding.

        Args:
            rows: the sequences of each batch.
        """
        test = self.splits.test
        for length in torch.unique(test.lengths[torch.cat(list(rows))]).tolist():
            self.require_length(length)
        padded = any(len(torch.unique(test.lengths[some])) > 1 for some in rows)
        if padded and test.one_length:
            raise NotApplicable(
                f"batches of {len(rows[0])} test sequences in their order need padding, which "
                f"{self.choice.name} does not get (train.batches: one_length)"
            )

    def batch(self, size: int, split: str = "test", length: int | None = None) -> Batch:
        """The first ``size`` sequences of a split, on the device, without padding.

        A split with fewer sequences is repeated from its start, and so is a sequence with fewer
        than ``length`` steps.

        Args:
            split: ``test`` or ``train``; of fresh training sequences the first that are drawn.
            length: by default that of the dataset's longest sequence.
        """
        chosen = getattr(self.splits, split)
        if isinstance(chosen, FreshSplit):
            chosen = chosen.drawn(0, 0, size)
        rows = torch.arange(size) % len(chosen)
        return chosen.exactly(rows, length or self.splits.task.length).to(self.device)  # type: ignore[no-any-return]
