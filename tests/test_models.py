"""Building models: embedding, encoder, readout."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from seqbench.errors import PluginError
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.plugins.parameters import completed
from seqbench.training.model import build_model, parameter_count
from seqbench.types import Task

LABELS = Task("features", 28, "label", 10, 28)


def choice(name: str, **params: Any) -> Choice:
    offer = load_plugins().model(name)
    values = completed(params, offer.spec.parameters)
    return Choice.of(offer, values)


@pytest.mark.parametrize(
    ("name", "params", "count"),
    [
        ("rnn", {"nonlinearity": "relu"}, 14_010),
        ("lstm", {}, 53_010),
        ("rnn", {"num_layers": 2}, 34_210),
        ("lstm", {"num_layers": 2}, 133_810),
    ],
)
def test_the_published_models_have_their_published_number_of_parameters(
    name: str, params: dict[str, Any], count: int
) -> None:
    model = build_model(choice(name, hidden_size=100, **params), LABELS)
    assert parameter_count(model) == count


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("task", "x", "shape"),
    [
        (LABELS, torch.rand(3, 28, 28), (3, 10)),
        (Task("tokens", 5, "label", 4, 9), torch.randint(5, (3, 9)), (3, 4)),
        (Task("features", 2, "value", 1, 7), torch.rand(3, 7, 2), (3, 1)),
        (Task("tokens", 5, "label_per_step", 6, 9), torch.randint(5, (3, 9)), (3, 9, 6)),
    ],
    ids=["label", "tokens", "value", "per step"],
)
def test_every_task_gets_an_answer_of_its_shape(
    name: str, readout: str, bidirectional: bool, *, task: Task, x: torch.Tensor, shape: tuple[int]
) -> None:
    chosen = choice(name, hidden_size=6, readout=readout, bidirectional=bidirectional)
    assert build_model(chosen, task)(x).shape == shape


def test_the_last_readout_of_a_bidirectional_net_is_the_end_of_each_direction() -> None:
    model: Any = build_model(choice("gru", hidden_size=4, bidirectional=True), LABELS)
    x = torch.rand(2, 28, 28)
    network = model.encoder.network
    final = network(x)[1]  # (directions, batch, hidden)
    expected = model.head(torch.cat([final[0], final[1]], dim=-1))
    torch.testing.assert_close(model(x), expected)


def test_building_draws_random_numbers_for_the_weights_only() -> None:
    """Determining the hidden size must not advance the random state."""
    torch.manual_seed(3)
    model: Any = build_model(choice("lstm", hidden_size=5), LABELS)
    torch.manual_seed(3)
    network: Any = torch.nn.LSTM(28, 5, batch_first=True)
    head = torch.nn.Linear(5, 10)
    assert torch.equal(model.encoder.network.weight_ih_l0, network.weight_ih_l0)
    assert torch.equal(model.head.weight, head.weight)


def test_an_import_path_that_does_not_exist_names_plugin_and_version() -> None:
    path = "seqbench_builtin.recurrent.layers:no_such_thing"
    missing = dataclasses.replace(choice("lstm"), import_path=path)
    with pytest.raises(PluginError, match=r"'lstm' of seqbench .*: cannot load .*such_thing"):
        build_model(missing, LABELS)


def test_a_function_that_returns_no_module_is_named() -> None:
    wrong = dataclasses.replace(
        choice("lstm"), import_path="builtins:dict", kind="model", params={}
    )
    with pytest.raises(PluginError, match=r"builtins:dict returned dict, not a torch\.nn\.Module"):
        build_model(wrong, [])  # type: ignore[arg-type]
