"""Each option of `train` against a plain PyTorch loop, bit for bit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from small_splits import prepared
from torch import Tensor, nn
from torch.optim import lr_scheduler

from seqbench.errors import DataError, SeqbenchError, UsageError
from seqbench.plugins.discovery import load_plugins
from seqbench.suite.optimizers import OPTIMIZERS, SCHEDULES, Method, resolved
from seqbench.suite.validate import parse_suite
from seqbench.training.loop import Trained, train_model
from seqbench.training.periods import Periods
from seqbench.training.prepared import PreparedSplits
from seqbench.training.schedules import make_schedule
from seqbench.training.split import Batch
from seqbench.training.step import Step
from seqbench.types import Task

CPU = torch.device("cpu")
SIZE, BATCH = 22, 4  # six batches in an epoch, the last of two sequences
TASK = Task("features", 3, "label", 2, 5)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.GRU(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.network(x)[0][:, -1])
        return answer


def data(validation: bool = True) -> PreparedSplits:
    draw = torch.Generator().manual_seed(0)
    pair = (torch.randn(SIZE, 5, 3, generator=draw), torch.arange(SIZE) % 2)
    return prepared(TASK, pair, pair, pair if validation else None)


def model() -> Small:
    torch.manual_seed(0)
    return Small()


def settings(**given: Any) -> dict[str, Any]:
    return {
        "epochs": 3, "batch_size": BATCH, "schedule": None, "clip_norm": None,
        "optimizer": resolved(Method("adam", {"lr": 0.01}), OPTIMIZERS), **given,
    }  # fmt: skip


def trained(of: PreparedSplits | None = None, **given: Any) -> tuple[Small, Trained]:
    found = model()
    splits = data(validation=False) if of is None else of
    return found, train_model(found, splits, settings(**given), device=CPU, seed=3)


def order(shuffle: bool = True) -> Iterator[Tensor]:
    """The sequences of each batch, as a loader with a seeded generator gives them."""
    generator = torch.Generator().manual_seed(3)
    while True:
        rows = torch.randperm(SIZE, generator=generator) if shuffle else torch.arange(SIZE)
        yield from torch.split(rows, BATCH)


def plain(
    steps: int,
    *,
    shuffle: bool = True,
    make: Callable[[nn.Module], torch.optim.Optimizer] = lambda m: torch.optim.Adam(
        m.parameters(), lr=0.01
    ),
    schedule: Callable[[Any], Any] | None = None,
) -> Small:
    """The loop of PyTorch's tutorials."""
    found = model()
    optimizer = make(found)
    scheduler = schedule(optimizer) if schedule else None
    train = data().train
    for rows in itertools.islice(order(shuffle), steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(found(train.inputs[rows]), train.targets[rows])  # type: ignore[union-attr]
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return found


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_steps_instead_of_epochs() -> None:
    found, result = trained(steps=8, evaluate_every=3)
    assert same(found, plain(8))
    assert [entry["steps"] for entry in result.curve] == [3, 6, 8]
    assert result.metrics["steps"] == 8
    assert not same(found, plain(9))


def test_steps_are_evaluated_ten_times_by_default() -> None:
    _, result = trained(data(), steps=25)
    assert [entry["steps"] for entry in result.curve] == [3, 6, 9, 12, 15, 18, 21, 24, 25]
    assert all("validation" in entry for entry in result.curve)


def test_shuffle_false_keeps_the_order_of_the_dataset() -> None:
    found, _ = trained(shuffle=False)
    assert same(found, plain(18, shuffle=False))


@pytest.mark.parametrize("together", [2, 4])
def test_accumulated_gradients_are_those_of_one_large_batch(together: int) -> None:
    """Six batches: three steps of two, or one of four and one of the last two, of unequal size."""
    found, result = trained(accumulate=together)
    other = model()
    train, optimizer = data().train, torch.optim.Adam(other.parameters(), lr=0.01)
    batches = list(itertools.islice(order(), 18))
    for epoch in range(3):
        own = batches[6 * epoch : 6 * epoch + 6]
        for start in range(0, 6, together):
            rows = torch.cat(own[start : start + together])
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(other(train.inputs[rows]), train.targets[rows])  # type: ignore[union-attr]
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    assert result.metrics["steps"] == 3 * math.ceil(6 / together)
    for a, b in zip(found.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_step_whose_targets_all_have_weight_0_changes_nothing() -> None:
    chosen = settings(accumulate=2, optimizer=resolved(Method("sgd"), OPTIMIZERS))
    step = Step(found := model(), data(), chosen, 1)
    batch = Batch(torch.randn(3, 5, 3), torch.zeros(3).long(), weights=torch.zeros(3))
    assert step(batch, batch) == 0
    assert same(found, model())


def test_groups_give_weights_other_parameters() -> None:
    groups = [["*bias*", {"weight_decay": 0.0}], ["head.*", {"lr": 0.1}]]
    chosen = resolved(Method("adamw", {"lr": 0.01, "weight_decay": 0.5}), OPTIMIZERS)
    found, _ = trained(optimizer=chosen, groups=groups)

    def make(m: nn.Module) -> torch.optim.Optimizer:
        named = dict(m.named_parameters())
        biases = [p for n, p in named.items() if "bias" in n]
        rest = [p for n, p in named.items() if "bias" not in n and n != "head.weight"]
        chosen: list[dict[str, Any]] = [
            {"params": rest}, {"params": biases, "weight_decay": 0.0},
            {"params": [named["head.weight"]], "lr": 0.1},
        ]  # fmt: skip
        return torch.optim.AdamW(chosen, lr=0.01, weight_decay=0.5)

    assert same(found, plain(18, make=make))


def test_a_pattern_that_matches_nothing_is_named_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"'embed\.\*' matches none .*network\.weight_ih_l0"):
        trained(groups=[["embed.*", {"lr": 0.1}]])


WARM, TOTAL = 4, 18


def warm(optimizer: Any, rest: Any) -> Any:
    """As PyTorch documents a warm-up."""
    first = lr_scheduler.LinearLR(optimizer, start_factor=1 / WARM, total_iters=WARM - 1)
    return lr_scheduler.SequentialLR(optimizer, [first, rest], milestones=[WARM])


PLAIN: list[tuple[str, dict[str, Any], Callable[[Any], Any]]] = [
    ("cosine", {}, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL)),
    ("cosine", {"warmup": WARM},
     lambda o: warm(o, lr_scheduler.CosineAnnealingLR(o, T_max=TOTAL - WARM))),
    ("linear", {"end_factor": 0.1},
     lambda o: lr_scheduler.LinearLR(o, 1.0, end_factor=0.1, total_iters=TOTAL)),
    ("linear", {"warmup": WARM},
     lambda o: warm(o, lr_scheduler.LinearLR(o, 1.0, end_factor=0.0, total_iters=TOTAL - WARM))),
    ("polynomial", {"power": 2.0},
     lambda o: lr_scheduler.PolynomialLR(o, total_iters=TOTAL, power=2.0)),
    ("cosine_restarts", {"T_0": 1, "T_mult": 2},
     lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=6, T_mult=2)),
    ("multi_step", {"milestones": [1, 2], "gamma": 0.5},
     lambda o: lr_scheduler.MultiStepLR(o, [6, 12], 0.5)),
    ("step", {"step_size": 2}, lambda o: lr_scheduler.StepLR(o, 12, 0.1)),
    ("exponential", {"gamma": 0.5}, lambda o: lr_scheduler.StepLR(o, 6, 0.5)),
    ("constant", {"warmup": WARM},
     lambda o: lr_scheduler.LinearLR(o, start_factor=1 / WARM, total_iters=WARM - 1)),
    ("inverse_sqrt", {"warmup": WARM},
     lambda o: lr_scheduler.LambdaLR(
         o, lambda t: min((t + 1) / WARM, math.sqrt(WARM / (t + 1))))),
    ("cyclic", {"base_lr": 0.001, "max_lr": 0.05, "step_size_up": 0.5, "mode": "triangular2"},
     lambda o: lr_scheduler.CyclicLR(
         o, 0.001, 0.05, step_size_up=3, mode="triangular2", cycle_momentum=False)),
    ("one_cycle", {"max_lr": 0.05},
     lambda o: lr_scheduler.OneCycleLR(o, 0.05, total_steps=TOTAL, cycle_momentum=False)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize(("name", "params", "theirs"), PLAIN)
def test_a_schedule_is_torchs(name: str, params: dict[str, Any], theirs: Any) -> None:
    found, _ = trained(schedule=resolved(Method(name, params), SCHEDULES))
    assert same(found, plain(TOTAL, schedule=theirs))


def test_every_schedule_is_compared_with_torch() -> None:
    assert {name for name, _, _ in PLAIN} | {"plateau"} == set(SCHEDULES)


@pytest.mark.parametrize(("name", "params"), [each[:2] for each in PLAIN])
def test_a_schedule_that_is_measured_starts_as_in_a_long_training_and_does_not_end(
    name: str, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch(torch.randn(2, 5, 3), torch.tensor([0, 1]))

    def rates(step: Step) -> list[float]:
        found = []
        for _ in range(WARM + 3):
            step(batch)
            found.append(step.optimizer.param_groups[0]["lr"])
        return found

    chosen = {"schedule": resolved(Method(name, params), SCHEDULES)}
    of_steps = {**settings(**chosen), "steps": 1}
    del of_steps["epochs"]
    long = rates(Step(model(), data(), settings(epochs=5, **chosen), 10**6))
    assert rates(Step.for_measuring(model(), data(), of_steps)) == long
    monkeypatch.setattr("seqbench.training.step.MEASURED_EPOCH", 1)
    assert all(map(math.isfinite, rates(Step.for_measuring(model(), data(), of_steps))))


def test_a_plateau_lowers_the_rate_when_validation_no_longer_improves() -> None:
    params = {"factor": 0.5, "patience": 0, "threshold": 0.5}  # half the loss at least, each time
    _, result = trained(data(), epochs=6, schedule=resolved(Method("plateau", params), SCHEDULES))
    other, splits = model(), data()
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, **params)  # type: ignore[arg-type]
    rates, batches, train = [], order(), splits.train
    for entry in result.curve:
        for rows in itertools.islice(batches, 6):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(other(train.inputs[rows]), train.targets[rows])  # type: ignore[union-attr]
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            whole = nn.functional.cross_entropy(other(train.inputs), train.targets)  # type: ignore[union-attr]
        assert entry["validation_loss"] == pytest.approx(whole.item(), rel=1e-6)
        plateau.step(whole.item())
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[-1] < 0.01


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "muon"])
def test_an_optimizer_is_torchs(name: str) -> None:
    by_name = {key.lower(): key for key in dir(torch.optim)}
    kind = getattr(torch.optim, by_name[name])
    found, _ = trained(optimizer=resolved(Method(name), OPTIMIZERS))
    assert same(found, plain(18, make=lambda m: kind(m.parameters())))


def test_a_plateau_knows_negative_losses() -> None:
    """Torch's relative threshold would take a loss that stays at -1 for a better one."""
    weight = nn.Parameter(torch.zeros(1))
    for losses, rate in (([-1.0] * 3, 0.01), ([-1.0, -1.1, -1.2], 1.0), ([1.0] * 3, 0.01)):
        optimizer = torch.optim.SGD([weight], lr=1.0)
        choice = resolved(Method("plateau", {"patience": 0, "threshold": 0.01}), SCHEDULES)
        schedule = make_schedule(optimizer, choice, epoch=1, total=9)
        for loss in losses:
            schedule.evaluated(loss)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_a_warm_up_that_would_never_end_is_refused() -> None:
    choice = resolved(Method("cosine", {"warmup": 19}), SCHEDULES)
    with pytest.raises(UsageError, match="a warmup of 19 steps is longer than the training, which"):
        trained(schedule=choice)


def test_early_stopping_ends_after_evaluations_that_are_no_better() -> None:
    """A model that cannot learn is never better than at its first evaluation."""
    frozen = {"optimizer": resolved(Method("sgd", {"lr": 0.0}), OPTIMIZERS)}
    _, result = trained(data(), epochs=50, early_stopping={"patience": 3}, **frozen)
    assert [entry["epoch"] for entry in result.curve] == [1, 2, 3, 4]
    _, whole = trained(data(), epochs=5, **frozen)
    assert len(whole.curve) == 5


def test_early_stopping_follows_the_primary_metric_and_not_the_loss() -> None:
    """The loss falls in each epoch, and the accuracy stays the same."""
    slow = {"optimizer": resolved(Method("sgd", {"lr": 1e-5}), OPTIMIZERS)}
    _, result = trained(data(), epochs=20, early_stopping={"patience": 2}, **slow)
    losses = [entry["validation_loss"] for entry in result.curve]
    assert losses == sorted(losses, reverse=True)
    assert [entry["epoch"] for entry in result.curve] == [1, 2, 3]
    assert result.metrics["best_epoch"] == 3  # of equal figures that with the lowest loss


@pytest.mark.parametrize(
    "given",
    [{"early_stopping": {"patience": 2}},
     {"schedule": resolved(Method("plateau"), SCHEDULES)}],
)  # fmt: skip
def test_what_needs_a_validation_split_says_so(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="needs a validation split, and the dataset has none"):
        trained(**given)


def test_periods_cover_all_steps() -> None:
    for total in range(1, 40):
        for every in (None, 1, 3, 100):
            periods = Periods.of({"steps": total, "evaluate_every": every}, per_epoch=7)
            assert sum(periods) == total
            assert (
                len(list(periods))
                == len(periods)
                == Periods.count({"steps": total, "evaluate_every": every})
            )
    assert list(Periods.of({"epochs": 3}, per_epoch=7)) == [7, 7, 7]


def suite(train: str, model: str = "rnn") -> Any:
    text = f"datasets: [adding]\nmodels: [{model}]\ntrain: {train}\n"
    return parse_suite(text, registry=load_plugins())


def test_the_options_of_a_suite_reach_the_training() -> None:
    text = (
        "{steps: 1000, evaluate_every: 50, early_stopping: {patience: 3}, accumulate: 2, "
        "shuffle: false, groups: {'*bias*': {weight_decay: 0}}, schedule: {cosine: {warmup: 100}}, "
        "optimizer: {adamw: {lr: 1e-3}}}"
    )
    found = suite(text).train.resolved()
    assert found["steps"] == 1000
    assert "epochs" not in found
    assert found["evaluate_every"] == 50
    assert found["early_stopping"] == {"patience": 3}
    assert found["accumulate"] == 2
    assert found["shuffle"] is False
    assert found["groups"] == [["*bias*", {"weight_decay": 0.0}]]
    assert found["schedule"]["params"] == {"eta_min": 0.0, "warmup": 100}


def test_an_entry_with_epochs_overrides_the_steps_of_its_suite() -> None:
    of = suite("{steps: 100, evaluate_every: 5}", "{rnn: {}, train: {epochs: 2}}")
    found = of.train_for(of.models[0])
    assert found["epochs"] == 2
    assert not {"steps", "evaluate_every"} & set(found)


def test_epochs_that_do_not_count_are_not_part_of_a_training() -> None:
    """Steps of a model replace the epochs of its suite, whatever these are."""
    of = [suite(train, "{rnn: {}, train: {steps: 9}}") for train in ("{}", "{epochs: 2}")]
    one, other = (each.train_for(each.models[0]) for each in of)
    assert one == other
    assert list(Periods.of(one, per_epoch=7)) == [1] * 9


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("{steps: 10, epochs: 2}", "has epochs and steps"),
        ("{epochs: 2, evaluate_every: 10}", "evaluate_every needs steps"),
        ("{early_stopping: {patience: 0}}", "patience"),
        ("{groups: {'*': {beta: 1}}}", r"adam has no parameter 'beta', as in groups: \*"),
        ("{groups: {'*': {lr: -1}}}", "is less than 0"),
        ("{groups: {'*': {lr: 1}}, schedule: {one_cycle: {max_lr: 1}}}", "sets the learning rate"),
        ("{schedule: {multi_step: {milestones: [0]}}}", "is less than 1"),
        ("{schedule: constant}", "needs the parameter 'warmup'"),
    ],
)
def test_a_wrong_option_is_refused(train: str, words: str) -> None:
    with pytest.raises(SeqbenchError, match=words):
        suite(train)


def test_checkpoints_are_set_for_the_whole_suite() -> None:
    assert "checkpoint" not in suite("{checkpoint: 10s}").train.resolved()
    assert suite("{checkpoint: null}").train.checkpoint is None
    with pytest.raises(SeqbenchError, match="checkpoint: can only be set for the whole suite"):
        suite("{}", "{rnn: {}, train: {checkpoint: 1s}}")
