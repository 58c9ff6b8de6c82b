"""State carried over from batch to batch: training, evaluation, checkpoints, and who can do it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from test_checkpoints import Everywhere, Killed, comparable
from test_suite import TINY, parse
from torch import Tensor, nn

from seqbench.errors import DataError, PluginError, SuiteError, UsageError
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.training.batches import batches_of
from seqbench.training.carried import check_carried
from seqbench.training.data_checks import checked_splits
from seqbench.training.evaluation import MeanLoss, evaluate
from seqbench.training.loop import Trained, train_model
from seqbench.training.losses import default_loss
from seqbench.training.model import build_model
from seqbench.training.prepared import PreparedSplits
from seqbench.training.split import Split
from seqbench.types import Splits, Task

CPU = torch.device("cpu")
TOKENS, LENGTH, STREAMS, LAG = 3, 2, 4, 1
TASK = Task("tokens", TOKENS, "label_per_step", TOKENS, LENGTH)
SETTINGS: dict[str, Any] = {
    "epochs": 3, "batch_size": STREAMS, "clip_norm": None, "schedule": None, "carry_state": True,
    "optimizer": {"name": "adam", "params": {"lr": 0.01}},
}  # fmt: skip


def text(length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random tokens, each to be repeated LAG steps later."""
    tokens = torch.randint(TOKENS, (length + LAG,), generator=torch.Generator().manual_seed(seed))
    return tokens[LAG:], tokens[:-LAG]


def cut(pair: tuple[Tensor, Tensor], length: int = LENGTH) -> Any:
    """Windows of a text; the last may be shorter."""
    windows = tuple(torch.split(part, length) for part in pair)
    if len(windows[0][-1]) == length:
        return tuple(torch.stack(part) for part in windows)
    return tuple(list(part) for part in windows)


def data(train_length: int = 30 * LENGTH, test_length: int = 10 * LENGTH) -> PreparedSplits:
    test = cut(text(test_length, 2))
    found = checked_splits(
        Splits(TASK, cut(text(train_length, 1)), test, test),
        Choice("copied", {}, "m:load", "copied", "1"),
    )
    return carried(found)


def carried(splits: PreparedSplits) -> PreparedSplits:
    """As :func:`seqbench.training.data.open_splits` opens them."""
    held = {name: getattr(splits, name) for name in ("train", "validation", "test")}
    return PreparedSplits(splits.task, **{
        name: Split(one.task, one.inputs, one.targets, one.weights, one.offsets, carried=True)
        for name, one in held.items()
    })  # fmt: skip


def gru(**given: Any) -> nn.Module:
    offer = load_plugins().model("gru")
    params = {name: param.default for name, param in offer.spec.parameters.items()}
    torch.manual_seed(0)
    return build_model(Choice.of(offer, {**params, "hidden_size": 16, **given}), TASK)


def trained(splits: PreparedSplits, **given: Any) -> tuple[Any, Trained]:
    model = gru()
    return model, train_model(model, splits, {**SETTINGS, **given}, device=CPU, seed=0)


def test_each_batch_continues_the_one_before_in_streams_of_equal_length() -> None:
    splits = data()
    batches = batches_of(splits, SETTINGS, device=CPU, seed=0)
    assert batches.per_epoch == 30 // STREAMS == 7  # two windows are left over
    epoch = list(batches.epoch())
    assert [batch.continues for batch in epoch] == [False] + [True] * 6
    streams = torch.cat([batch.inputs for batch in epoch], dim=1)  # (streams, time)
    whole = text(30 * LENGTH, 1)[0][: STREAMS * 7 * LENGTH].view(STREAMS, -1)
    assert torch.equal(streams, whole)
    assert [batch.continues for batch in batches.epoch()] == [False] + [True] * 6


def test_training_is_a_loop_that_passes_the_detached_state_on() -> None:
    """Bit for bit, over 105 steps."""
    splits = dataclasses.replace(data(), validation=None)  # so the last weights are kept
    found, result = trained(splits, epochs=15)
    model: Any = gru()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    streams = [part[: STREAMS * 7 * LENGTH].view(STREAMS, -1) for part in text(30 * LENGTH, 1)]
    losses = []
    for _ in range(15):
        state = None
        for x, y in zip(*(torch.split(part, LENGTH, dim=1) for part in streams), strict=True):
            hidden, state = model.encoder.network(model.embedding(x), state)
            loss = nn.functional.cross_entropy(model.head(hidden).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            state = state.detach()
            losses.append(loss.item())
    pairs = zip(found.state_dict().values(), model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for number, entry in enumerate(result.curve):
        own = losses[7 * number : 7 * number + 7]
        assert entry["train_loss"] == pytest.approx(sum(own) / 7, abs=1e-6)


def test_what_lies_before_the_window_is_remembered() -> None:
    """Half of the tokens to repeat are in the window before."""
    splits = data(train_length=100 * LENGTH, test_length=50 * LENGTH)
    settings = {"epochs": 20, "optimizer": {"name": "adam", "params": {"lr": 0.03}}}
    warm = trained(splits, **settings)[1].metrics["value"]
    cold_splits = PreparedSplits(TASK, *(
        Split(TASK, one.inputs, one.targets) for one in (splits.train, splits.test)  # type: ignore[union-attr]
    ))  # fmt: skip
    model = gru()
    plain = {key: value for key, value in SETTINGS.items() if key != "carry_state"} | settings
    cold = train_model(model, cold_splits, plain, device=CPU, seed=0).metrics["value"]
    assert warm > 0.95
    assert cold < 0.5 + 0.5 / TOKENS + 0.1


@pytest.mark.parametrize("length", [10 * LENGTH, 9 * LENGTH + 2])
def test_evaluation_is_that_of_the_whole_text_at_once(length: int) -> None:
    splits = data(test_length=length)
    model, _ = trained(splits)
    meter = MeanLoss(default_loss(TASK))
    accuracy = evaluate(model, splits.test, device=CPU, meters=[meter])
    inputs, targets = text(length, 2)
    with torch.no_grad():
        answers = model.eval()(inputs[None])[0]
    assert accuracy == pytest.approx((answers.argmax(-1) == targets).float().mean().item())
    assert meter.value == pytest.approx(nn.functional.cross_entropy(answers, targets).item())


def test_a_killed_training_continues_with_the_state_that_it_had(tmp_path: Path) -> None:
    splits, path = data(), tmp_path / "trial.pt"
    whole = trained(splits)
    for opportunity in (1, 2):
        checkpoints = Everywhere(path, 0.0, "same")
        checkpoints.left = opportunity
        model = gru()
        with pytest.raises(Killed):
            train_model(model, splits, SETTINGS, device=CPU, seed=0, checkpoints=checkpoints)
        model = gru()
        torch.rand(5)
        again = train_model(
            model, splits, SETTINGS, device=CPU, seed=0, checkpoints=Everywhere(path, 0.0, "same")
        )
        assert comparable(again) == comparable(whole[1])
        path.unlink()


def choice(name: str = "gru") -> Choice:
    return Choice(name, {}, "m:gru", "models", "1.0", kind="encoder")


def test_a_model_without_a_state_to_carry_is_refused() -> None:
    with pytest.raises(UsageError, match=r"flat has no method forward_with_state\(x, state\)"):
        check_carried(nn.Linear(2, 2), data(), CPU, choice("flat"))
    with pytest.raises(UsageError, match="gru is bidirectional: it also reads from the end"):
        check_carried(gru(bidirectional=True), data(), CPU, choice())
    check_carried(gru(), data(), CPU, choice())


def test_data_that_cannot_be_carried_over_is_refused() -> None:
    task = Task("tokens", TOKENS, "label", TOKENS, LENGTH)
    split = Split(task, torch.zeros(3, LENGTH, dtype=torch.int64), torch.zeros(3).long())
    with pytest.raises(DataError, match="needs a dataset with a target at each step"):
        check_carried(gru(), PreparedSplits(task, split, split), CPU, choice())
    with pytest.raises(DataError, match=r"has 2 sequences, fewer than train\.batch_size 4"):
        batches_of(data(train_length=2 * LENGTH), SETTINGS, device=CPU, seed=0)


def test_a_state_is_never_carried_over_padding() -> None:
    """Only the last sequence may be shorter, and it is in the last batch if it is in one."""
    pairs = tuple(torch.split(part, [2, 1, 2, 2, 2, 2, 2, 2]) for part in text(15, 1))
    uneven = checked_splits(
        Splits(TASK, tuple(map(list, pairs)), cut(text(8, 2))),  # type: ignore[arg-type]
        Choice("copied", {}, "m:load", "copied", "1"),
    )
    with pytest.raises(DataError, match=r"of one length, of which only the last .* have 1 to 2"):
        batches_of(uneven, SETTINGS, device=CPU, seed=0)
    whole = data(train_length=27 * LENGTH + 1)  # 28 windows, the last with one step
    epoch = list(batches_of(whole, SETTINGS, device=CPU, seed=0).epoch())
    assert [batch.lengths is None for batch in epoch] == [True] * 6 + [False]


def test_answers_from_the_beginning_must_be_those_of_a_plain_call() -> None:
    class Other(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot(x, TOKENS).float()

        def forward_with_state(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            return 2 * self.forward(x), state

    with pytest.raises(PluginError, match=r"forward_with_state\(x, None\) gives other answers"):
        check_carried(Other(), data(), CPU, choice("other"))
    Other.forward_with_state = lambda self, x, state: self.forward(x)  # type: ignore[assignment, return-value]
    with pytest.raises(PluginError, match="returned Tensor, not a pair of answers and state"):
        check_carried(Other(), data(), CPU, choice("other"))


def test_the_settings_of_a_suite() -> None:
    assert parse(f"{TINY}train: {{carry_state: true}}").train.resolved()["carry_state"] is True
    assert "carry_state" not in parse(TINY).train.resolved()
    with pytest.raises(SuiteError, match="carry_state decides which sequences make a batch: leave"):
        parse(f"{TINY}train: {{carry_state: true, shuffle: false}}")
