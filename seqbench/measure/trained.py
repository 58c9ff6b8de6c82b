"""Loads the trained model of a run for its user."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from seqbench.devices.registry import available_devices
from seqbench.errors import NotPrepared, PluginError, StoreError
from seqbench.measure.payloads import Refit, TrainedModel
from seqbench.measure.subject import Subject
from seqbench.plugins.choice import Choice
from seqbench.plugins.provenance import change_of, version_of
from seqbench.records import TrialRecord
from seqbench.store.files import sha256_of
from seqbench.store.run_folder import RunFolder
from seqbench.store.stored_plan import StoredChoice
from seqbench.store.validation import adapter
from seqbench.training.data import cache_dir, is_prepared, prepared_file
from seqbench.types import Task
from seqbench.workers.context import Workspace


def load_trained(folder: RunFolder, record: TrialRecord) -> tuple[nn.Module, Task]:
    """Build the model of a successful trial again, with its trained weights. An estimator is fitted
    again; its module has it as ``estimator``.

    It is checked on the device that it was trained on, or on the CPU if this machine has no such
    device. torch's generator for the CPU is left as it was.

    Returns:
        the model in evaluation mode, on the CPU; and the task of its dataset.

    Raises:
        PluginError: its plugin has changed since it was trained, or it answers differently.
        NotApplicable: it is an estimator, and answers differently.
        NotPrepared: its dataset is not in the cache.
        StoreError: its weights are missing or damaged.
    """
    case = next(case for case in folder.plan()["cases"] if case["id"] == record.case)
    model, dataset = _choice(case["model"]), _choice(case["dataset"])
    model = dataclasses.replace(
        model, source=record.source or model.source, version=record.version or model.version
    )
    _check_plugin(model, record)
    _check_weights(folder, record)
    if not is_prepared(dataset, cache_dir()):
        raise NotPrepared(
            f"{record.id}: its dataset {dataset.name!r} is not prepared here; "
            f"`seqbench run --resume {folder.path}` prepares it"
        )
    device = case["device"] if case["device"] in available_devices() else "cpu"
    trained = TrainedModel(
        model,
        prepared_file(dataset),
        device,
        weights=record.weights,
        train=case["train"],
        answers=record.answers,
        refit=Refit(record.seed, record.form) if model.is_estimator else None,
    )
    with torch.random.fork_rng(devices=[]):
        subject = Subject(trained, Workspace(folder.path, cache_dir()))
    return subject.model.cpu(), subject.splits.task


def _choice(stored: StoredChoice) -> Choice:
    choice: Choice = adapter(Choice).validate_python(stored)
    return choice


def _check_plugin(model: Choice, record: TrialRecord) -> None:
    package = f"{model.distribution} {model.version}"
    if not version_of(model.distribution):
        raise PluginError(f"{record.id}: its model {model.name!r} is from {package}: install it")
    if change := change_of(model):
        raise PluginError(
            f"{record.id}: its model {model.name!r} cannot be built again: {package} {change} "
            "since it was trained; install it as it was, or resume the run to retrain the model"
        )


def _check_weights(folder: RunFolder, record: TrialRecord) -> None:
    if not record.weights:  # an estimator, which is fitted again
        return
    path = folder.path / record.weights
    if folder.removed.is_gone(record.weights):
        raise StoreError(f"{record.id}: its weights were removed (seqbench rm, keep.weights)")
    try:
        sound = record.weights_sha256 in ("", sha256_of(path))
    except OSError as error:
        raise StoreError(
            f"cannot read the weights of {record.id}: {path}: {error.strerror}"
        ) from error
    if not sound:
        raise StoreError(f"{path} is damaged; `seqbench run --resume {folder.path}` retrains it")
