"""Losses, optimizers and schedules of plugins, Muon, ema and a model's own training_step: each
against a plain PyTorch loop, bit for bit.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import training_methods
from conftest import install
from test_training_options import CPU, SIZE, TASK, Small, data, order, plain, same, settings
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import seqbench
from seqbench import Batch
from seqbench.errors import PluginError, SeqbenchError, UsageError
from seqbench.plugins.choice import Choice, to_json
from seqbench.plugins.discovery import load_plugins
from seqbench.report.page.methods import methods
from seqbench.suite.json_schema import json_schema
from seqbench.suite.optimizers import OPTIMIZERS, SCHEDULES, Method, resolved
from seqbench.suite.validate import parse_suite
from seqbench.training.carried import check_carried
from seqbench.training.checkpoints import Checkpoints
from seqbench.training.loop import train_model
from seqbench.training.losses import Loss, plugins_loss
from seqbench.training.model import SequenceModel, build_model
from seqbench.training.optimizers import hidden_matrices, make_optimizer
from seqbench.training.own_step import lightning_warning
from seqbench.training.prepared import PreparedSplits
from seqbench.types import Task

LION: dict[str, Any] = {"lr": 1e-3, "betas": [0.9, 0.99], "weight_decay": 0.1}


def of_plugin(name: str, params: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As the settings of a training have it."""
    choice = Choice(name.lower(), params, f"training_methods:{name}", "none", "1")
    return {**to_json(choice), **more}


def trained(found: Any, splits: PreparedSplits | None = None, **given: Any) -> Any:
    of = data(validation=False) if splits is None else splits
    return train_model(found, of, settings(**given), device=CPU, seed=3)


def small() -> Small:
    torch.manual_seed(0)
    return Small()


def loop(
    found: nn.Module,
    steps: int,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Any,
    after: Callable[[], Any] = lambda: None,
) -> None:
    train: Any = data().train
    for rows in itertools.islice(order(), steps):
        optimizer.zero_grad()
        loss(found(train.inputs[rows]), train.targets[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        after()


def test_a_plugins_loss_is_minimized() -> None:
    found, other = small(), small()
    result = trained(found, loss=of_plugin("focal", {"gamma": 2.0}, targets=["label"]))
    rows = training_methods.focal(TASK, 2.0)
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    loop(other, 18, lambda answers, targets: rows(answers, targets).mean(), optimizer)
    assert same(found, other)
    assert result.curve[0]["train_loss"] < 0.6  # that of cross-entropy is 0.69


def test_a_plugins_loss_counts_rows_by_their_weights() -> None:
    """Of each output, and with a NaN where nothing counts."""
    task = Task("features", 3, "value_per_step", 2, 4)
    loss = Loss(task, plugins_loss(of_plugin("squares", {}, targets=["value"]), task))
    answers, targets = torch.randn(5, 4, 2), torch.randn(5, 4, 2)
    weights = torch.rand(5, 4)
    weights[0, 1:] = 0
    expected = (((answers - targets) ** 2).mean(-1) * weights).sum() / weights.sum()
    answers[0, 2] = torch.nan
    assert torch.allclose(loss(answers, targets, weights), expected)


@pytest.mark.parametrize(("name", "words"), [
    ("mean", r"'mean' of none 1: the loss returned a tensor of shape \(\), not the loss of each "
             r"row, of shape \(20,\), or of each output, \(20, 2\): seqbench takes the mean; use "
             r"reduction='none'"),
    ("anything", "training_methods:anything returned str, not a function of answers and targets"),
])  # fmt: skip
def test_a_wrong_loss_is_named_with_its_plugin(name: str, words: str) -> None:
    task = Task("features", 3, "value_per_step", 2, 4)
    chosen = of_plugin(name, {}, targets=["value"])
    with pytest.raises(PluginError, match=words):
        Loss(task, plugins_loss(chosen, task))(torch.randn(5, 4, 2), torch.randn(5, 4, 2))


def test_a_loss_for_other_targets_is_refused() -> None:
    with pytest.raises(UsageError, match="focal is for targets of the kind value, not label: use "):
        trained(small(), loss=of_plugin("focal", {"gamma": 2.0}, targets=["value"]))


def test_a_plugins_optimizer_takes_groups() -> None:
    found, other = small(), small()
    groups = [["*bias*", {"weight_decay": 0.0}]]
    trained(found, optimizer=of_plugin("Lion", LION), groups=groups)
    named = dict(other.named_parameters())
    parts: list[dict[str, Any]] = [
        {"params": [p for n, p in named.items() if "bias" not in n]},
        {"params": [p for n, p in named.items() if "bias" in n], "weight_decay": 0.0},
    ]
    loop(other, 18, nn.functional.cross_entropy, training_methods.Lion(parts, **LION))
    assert same(found, other)


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("warmup", [0, 4])
def test_a_plugins_schedule_is_stepped_after_its_warmup(warmup: int) -> None:
    def theirs(optimizer: Any) -> Any:
        rest = training_methods.Trapezoid(
            optimizer, steps=18 - warmup, steps_per_epoch=6, flat=0.25
        )
        if not warmup:
            return rest
        first = lr_scheduler.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1)
        return lr_scheduler.SequentialLR(optimizer, [first, rest], milestones=[warmup])

    found = small()
    trained(found, schedule=of_plugin("Trapezoid", {"flat": 0.25, "warmup": warmup}))
    assert same(found, plain(18, schedule=theirs))


@pytest.mark.parametrize(("key", "words"), [
    ("optimizer", "'anything' of none 1: .* returned str, not a torch.optim.Optimizer"),
    ("schedule", r"'anything' of none 1: .* returned str, which has no step\(\)"),
])  # fmt: skip
def test_what_is_no_optimizer_or_schedule_is_named(key: str, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        train_model(
            small(), data(), settings(**{key: of_plugin("anything", {"warmup": 0})}), device=CPU,
            seed=0,
        )  # fmt: skip


class Interrupted(Exception):
    pass


class Once(Checkpoints):
    """Is due at every opportunity, and interrupts the training after the second checkpoint."""

    left = 2

    def due(self) -> bool:
        return True

    def save(self, state: dict[str, Any]) -> None:
        super().save(state)
        self.left -= 1
        if not self.left:
            raise Interrupted


def muon(**given: Any) -> dict[str, Any]:
    return resolved(Method("muon", given), OPTIMIZERS)


CHECKPOINTED: dict[str, dict[str, Any]] = {
    "plugins": {
        "loss": of_plugin("focal", {"gamma": 2.0}, targets=["label"]),
        "optimizer": of_plugin("Lion", LION),
        "schedule": of_plugin("Trapezoid", {"flat": 0.25, "warmup": 4}),
    },
    "muon": {
        "optimizer": muon(lr=0.01, others=Method("adamw", {"lr": 0.02})),
        "schedule": resolved(Method("cosine", {"warmup": 4}), SCHEDULES),
    },
    "ema": {"ema": 0.8},
    "cyclic": {"schedule": resolved(Method("cyclic", {"base_lr": 1e-3, "max_lr": 0.1}), SCHEDULES)},
}


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_a_training_continues_from_its_checkpoint(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqbench.training.loop.CHECK_EVERY_STEPS", 4)
    given = CHECKPOINTED[name]
    whole, again = small(), small()
    expected = trained(whole, data(), **given)
    path = tmp_path / "trial.pt"
    with pytest.raises(Interrupted):
        train_model(
            small(), data(), settings(**given), device=CPU, seed=3,
            checkpoints=Once(path, 0.0, "me"),
        )  # fmt: skip
    assert Checkpoints(path, 1e9, "me").load(CPU) is not None
    checkpoints = Checkpoints(path, 1e9, "me")
    result = train_model(
        again, data(), settings(**given), device=CPU, seed=3, checkpoints=checkpoints
    )
    assert same(again, whole)
    assert result.metrics == expected.metrics


MUON: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.95}


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_trains_hidden_matrices_and_another_optimizer_the_rest() -> None:
    found, other = small(), small()
    schedule = resolved(Method("cosine"), SCHEDULES)
    others = Method("adamw", {"lr": 0.02})
    result = trained(
        found, optimizer=muon(**MUON, others=others), schedule=schedule, clip_norm=0.5,
        groups=[["*bias*", {"weight_decay": 0.0}]],
    )  # fmt: skip
    named = dict(other.named_parameters())
    own = ["network.weight_hh_l0", "network.weight_ih_l0"]
    assert result.metrics["muon"] == own
    first = torch.optim.Muon([named["network.weight_ih_l0"], named["network.weight_hh_l0"]], **MUON)
    biases = [p for name, p in named.items() if "bias" in name]
    groups: list[dict[str, Any]] = [{"params": [named["head.weight"]]}]
    groups += [{"params": biases, "weight_decay": 0.0}]
    second = torch.optim.AdamW(groups, lr=0.02)
    schedules = [lr_scheduler.CosineAnnealingLR(one, T_max=18) for one in (first, second)]
    train: Any = data().train
    for rows in itertools.islice(order(), 18):
        first.zero_grad()
        second.zero_grad()
        loss = nn.functional.cross_entropy(other(train.inputs[rows]), train.targets[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(other.parameters(), 0.5)
        for one, rate in zip((first, second), schedules, strict=True):
            one.step()
            rate.step()
    assert same(found, other)


def test_what_a_hidden_matrix_is() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
            self.filters = nn.Parameter(torch.ones(4, 1, 2))
            self.complex = nn.Parameter(torch.ones(4, 4, dtype=torch.complex64))

        def forward(self, x: Tensor) -> Tensor:
            answer: Tensor = self.norm(self.inner(x))
            return answer

    task = Task("tokens", 7, "label", 2, 5)
    model = SequenceModel(task, Encoder(), 4, "last")
    assert hidden_matrices(model) == {"encoder.inner.weight"}
    whole = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    assert hidden_matrices(whole) == {"1.weight", "2.weight"}
    assert hidden_matrices(whole, ["1.*"]) == {"2.weight"}


@pytest.mark.parametrize(("given", "groups", "words"), [
    ({"exclude": ["network.weight*"]}, {}, "muon: the model has no hidden matrix for it"),
    ({"exclude": ["embed*"]}, {}, r"exclude: 'embed\*' matches none of the weights"),
    ({}, {"head.*": {"momentum": 0.5}}, "head.weight is trained by adamw, which has no param"),
])  # fmt: skip
def test_what_muon_cannot_do_is_said(
    given: dict[str, Any], groups: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make_optimizer(small(), muon(**given), groups)


def test_a_torch_without_muon_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    with pytest.raises(UsageError, match=r"train.optimizer: torch \S+ has no muon"):
        make_optimizer(small(), muon())


class Normalized(Small):
    """With buffers, of floating point and not."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.head(self.norm(self.network(x)[0][:, -1]))
        return answer


def test_the_average_of_the_weights_is_what_is_evaluated_and_kept() -> None:
    torch.manual_seed(0)
    found = Normalized()
    result = trained(found, data(), ema=0.8, epochs=4)
    torch.manual_seed(0)
    other = Normalized()
    average = AveragedModel(other, multi_avg_fn=get_ema_multi_avg_fn(0.8), use_buffers=True)  # type: ignore[no-untyped-call]
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    states, figures, train = [], [], data().train
    for number, rows in enumerate(itertools.islice(order(), 24), 1):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(other(train.inputs[rows]), train.targets[rows])  # type: ignore[union-attr]
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update_parameters(other)
        if number % 6 == 0:
            average.module.eval()
            with torch.no_grad():
                answers = average.module(train.inputs)  # type: ignore[union-attr]
            figures.append((answers.argmax(-1) == train.targets).double().mean().item())  # type: ignore[union-attr]
            states.append({k: v.clone() for k, v in average.module.state_dict().items()})
    assert [entry["validation"] for entry in result.curve] == pytest.approx(figures)
    kept = states[result.metrics["best_epoch"] - 1]
    assert all(torch.equal(kept[name], value) for name, value in found.state_dict().items())
    assert result.metrics["last"] == pytest.approx(figures[-1])
    assert not same(found, other)


def test_without_a_validation_split_the_last_average_is_kept() -> None:
    found = small()
    trained(found, ema=0.5)
    other = small()
    average = AveragedModel(other, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)  # type: ignore[no-untyped-call]
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    loop(
        other, 18, nn.functional.cross_entropy, optimizer, lambda: average.update_parameters(other)
    )
    assert same(found, average.module)


class Teacher(Small):
    """An auxiliary loss, from the batch that it is given."""

    wrong: Any = None

    def training_step(self, batch: Batch) -> Any:
        assert batch.lengths is None
        assert batch.weights is None
        if self.wrong is not None:
            return self.wrong
        answers = self(batch.inputs)
        loss = nn.functional.cross_entropy(answers, batch.targets, label_smoothing=0.3)
        return loss + 0.1 * answers.square().mean()


def teacher(wrong: Any = None) -> Teacher:
    torch.manual_seed(0)
    found = Teacher()
    found.wrong = wrong
    return found


def test_a_models_own_training_step_gives_the_gradients() -> None:
    found, other = teacher(), teacher()
    schedule = resolved(Method("cosine"), SCHEDULES)
    result = trained(found, data(), schedule=schedule, clip_norm=0.1, ema=0.5, epochs=3)
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    rates = lr_scheduler.CosineAnnealingLR(optimizer, T_max=18)
    average = AveragedModel(other, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)  # type: ignore[no-untyped-call]
    train: Any = data().train
    for rows in itertools.islice(order(), 6 * result.metrics["best_epoch"]):
        optimizer.zero_grad()
        loss = other.training_step(Batch(train.inputs[rows], train.targets[rows]))
        loss.backward()
        nn.utils.clip_grad_norm_(other.parameters(), 0.1)
        optimizer.step()
        rates.step()
        average.update_parameters(other)
    assert same(found, average.module)
    assert result.metrics["training_step"] is True
    # The validation loss stays that of the task.
    whole = nn.functional.cross_entropy(average.module(train.inputs), train.targets)
    best = result.curve[result.metrics["best_epoch"] - 1]
    assert best["validation_loss"] == pytest.approx(whole.item(), rel=1e-5)


def test_own_losses_of_accumulated_batches_count_by_their_sequences() -> None:
    found, other = teacher(), teacher()
    trained(found, accumulate=6, epochs=1)
    optimizer, train = torch.optim.Adam(other.parameters(), lr=0.01), data().train
    for rows in itertools.islice(order(), 6):
        loss = other.training_step(Batch(train.inputs[rows], train.targets[rows]))  # type: ignore[union-attr]
        (loss * (len(rows) / SIZE)).backward()
    optimizer.step()
    assert same(found, other)


@pytest.mark.parametrize(("wrong", "words"), [
    (3.0, "returned float, not a scalar tensor with a gradient"),
    (torch.zeros(4), r"returned a tensor of shape \(4,\) and torch.float32, not a scalar"),
    (torch.tensor(1.0), "returned a tensor without a gradient"),
])  # fmt: skip
def test_a_wrong_loss_of_a_training_step_is_named(wrong: Any, words: str) -> None:
    with pytest.raises(PluginError, match=rf"test_training_methods.Teacher.training_step {words}"):
        trained(teacher(wrong))


class TwoArguments(Small):
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        raise NotImplementedError


def test_a_training_step_takes_the_batch_alone() -> None:
    with pytest.raises(PluginError, match=r"must take one argument, a seqbench\.Batch"):
        trained(TwoArguments())


class Lightning(TwoArguments):
    """Looks like a LightningModule."""

    def configure_optimizers(self) -> Any:
        raise NotImplementedError


def test_a_lightning_module_is_trained_as_any_other() -> None:
    torch.manual_seed(0)
    found = Lightning()
    result = trained(found)
    assert same(found, plain(18))
    assert "training_step" not in result.metrics
    assert lightning_warning(found) == (
        "is a LightningModule: its training_step and configure_optimizers are not used; train.* "
        "decides"
    )
    assert not lightning_warning(small())


class Encoder(nn.Module):
    def __init__(self, width: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x

    def training_step(self, batch: Batch) -> Tensor:
        raise NotImplementedError


def test_the_training_step_of_an_encoder_is_refused() -> None:
    params = {"readout": "last", "embedding_size": 4}
    choice = Choice("mine", params, f"{__name__}:Encoder", "none", "1", kind="encoder")
    with pytest.raises(PluginError, match=r"'mine' of none 1: Encoder.training_step is not used"):
        build_model(choice, TASK)


LIT = """
    import lightning, torch, seqbench
    from torch import nn

    class Lit(lightning.LightningModule):
        def __init__(self, task):
            super().__init__()
            self.layer = nn.GRU(task.input_size, 8, batch_first=True)
            self.head = nn.Linear(8, task.output_size)
        def forward(self, x):
            return self.head(self.layer(x)[0][:, -1])
        def training_step(self, batch, batch_idx):
            raise RuntimeError("used")
        def configure_optimizers(self):
            raise RuntimeError("used")
    """

LIT_PLUGIN = """
    import seqbench

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("lit", build="lit_model:Lit", kind="model")]
    """

LIT_SUITE = """
name: lit
datasets: [adding: {length: 5, train_size: 60, validation_size: 20, test_size: 20}]
models: [lit]
train: {epochs: 1, batch_size: 20}
seeds: 2
target: mse <= 0.9
measure: {latency: {budget: 100ms, processes: 2, warm_up: 10ms, batch_sizes: 1}, memory: {}}
"""


@pytest.mark.extra
def test_a_real_lightning_module_trains_is_saved_timed_and_measured(
    site: Path, tmp_path: Path, seqbench_cli: Callable[..., Any], monkeypatch: Any
) -> None:
    pytest.importorskip("lightning")
    install(site, "lit", {"lit": LIT_PLUGIN, "lit_model": LIT}, "lit = lit")
    monkeypatch.chdir(tmp_path)
    Path("lit.yaml").write_text(LIT_SUITE)
    done = seqbench_cli("run", "lit.yaml")
    assert done.returncode == 0, done.stderr
    words = "is a LightningModule: its training_step and configure_optimizers are not used"
    assert " ".join(done.stderr.split()).count(words) == 1
    (case,) = seqbench.Run.open(next(Path("results", "lit").iterdir())).document["cases"]
    assert case["status"] == "ok"
    assert case["latency"]
    assert case["memory"]
    assert case["training_step"]


def test_an_own_training_step_cannot_be_given_a_state() -> None:
    choice = Choice("mine", {}, f"{__name__}:Teacher", "none", "1", kind="model")
    found = teacher()
    found.forward_with_state = found.forward  # type: ignore[assignment]
    with pytest.raises(UsageError, match=r"carry_state: mine has its own training_step"):
        check_carried(found, data(), CPU, choice)


def test_an_own_training_step_runs_under_autocast() -> None:
    seen: list[Any] = []

    class Mixed(Teacher):
        def training_step(self, batch: Batch) -> Any:
            seen.append(self(batch.inputs).dtype)
            return super().training_step(batch)

    torch.manual_seed(0)
    trained(Mixed(), precision="bf16", epochs=1)
    assert set(seen) == {torch.bfloat16}


PLUGIN = """
    import seqbench

    SEQBENCH_API = 5

    @seqbench.hookimpl
    def seqbench_losses():
        return [seqbench.LossSpec("focal", build="mine_made:focal", targets=["label"],
                                  parameters={"gamma": seqbench.Param(2.0, minimum=0)})]

    @seqbench.hookimpl
    def seqbench_optimizers():
        return [seqbench.OptimizerSpec("lion", build="mine_made:Lion", parameters={
            "lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0})]

    @seqbench.hookimpl
    def seqbench_schedules():
        return [seqbench.ScheduleSpec("trapezoid", build="mine_made:Trapezoid",
                                      parameters={"flat": 0.5})]

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("teacher", build="mine_made:Teacher", kind="model")]
    """

TEACHER = """

class Teacher(nn.Module):
    def __init__(self, task):
        super().__init__()
        self.layer = nn.Linear(task.input_size, task.output_size)

    def forward(self, x):
        return self.layer(x.mean(1))

    def training_step(self, batch):
        return (self(batch.inputs) - batch.targets).square().mean() + 0 * self.layer.bias.sum()
"""


@pytest.fixture
def installed(site: Path) -> Path:
    made = Path(training_methods.__file__).read_text("utf-8") + TEACHER
    modules = {"mine": PLUGIN, "mine_made": made}
    install(site, "mine", modules, "mine = mine")
    return site


def suite(train: str, models: str = "[rnn]") -> Any:
    text = f"datasets: [adding]\nmodels: {models}\ntrain: {train}\n"
    return parse_suite(text, registry=load_plugins())


def test_a_suite_names_them_like_seqbenchs_own(installed: Path) -> None:
    found = suite(
        "{loss: {focal: {gamma: 1}}, schedule: {trapezoid: {warmup: 10}}, "
        "optimizer: {muon: {others: {lion: {betas: [0.5, 0.9]}}}}, groups: {'*bias*': {lr: 1}}}",
        "[rnn: {}, {gru: {}, train: {loss: focal, optimizer: mine:lion}}]",
    )
    first, second = (found.train_for(entry) for entry in found.models)
    assert first["loss"]["params"] == second["loss"]["params"] == {"gamma": 1.0}
    assert first["loss"]["targets"] == ["label"]
    for method in (first["loss"], first["schedule"], first["optimizer"]["params"]["others"]):
        assert (method["distribution"], method["version"]) == ("mine", "1.0")
        assert len(method["source"]) == 10
    assert first["schedule"]["params"] == {"flat": 0.5, "warmup": 10}
    assert second["optimizer"]["name"] == "lion"
    assert second["optimizer"]["params"]["betas"] == [0.9, 0.99]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("{loss: {focl: {}}}", r"suite.yaml:3:.*unknown loss 'focl'; did you mean 'focal'"),
        ("{optimizer: {lion: {lrr: 1}}}", "unknown parameter 'lrr'; did you mean 'lr'"),
        ("{optimizer: {lion: {betas: [0.1]}}}", "is a list of length 1, not 2"),
        ("{optimizer: {lion: {lr: [1, 2]}}}", "only models and datasets can have a grid"),
        ("{loss: {focal: {gamma: -1}}}", "gamma: -1 is less than 0"),
        ("{optimizer: lion, groups: {'*': {momentum: 1}}}", "lion has no parameter 'momentum'"),
        ("{optimizer: {muon: {others: muon}}}", "muon cannot be the other optimizer of itself"),
        ("{optimizer: {muon: {others: adan}}}", "'adan': it is in the package seqbench-opt"),
        ("{optimizer: muon, schedule: {one_cycle: {max_lr: 1}}}", "but muon has two"),
        ("{ema: 1}", "must be less than 1"),
    ],
)
def test_a_wrong_name_or_parameter_is_refused_with_its_line(
    installed: Path, train: str, words: str
) -> None:
    with pytest.raises(SeqbenchError, match=words):
        suite(train)


def test_a_name_that_seqbench_has_too_must_be_qualified(site: Path) -> None:
    code = textwrap.dedent(PLUGIN).replace('"lion"', '"adamw"')
    install(site, "mine", {"mine": code}, "mine = mine")
    with pytest.raises(
        SeqbenchError, match=r"offered by seqbench .* and mine 1.0: write 'seqbench"
    ):
        suite("{optimizer: adamw}")
    assert "distribution" not in suite("{optimizer: seqbench:adamw}").train.resolved()["optimizer"]
    assert suite("{optimizer: mine:adamw}").train.resolved()["optimizer"]["version"] == "1.0"


def test_the_schema_and_the_lists_have_them(
    installed: Path, seqbench_cli: Callable[..., Any]
) -> None:
    training = json_schema(load_plugins())["$defs"]["Training"]["properties"]
    assert {"focal", "mine:focal", "mse"} <= set(training["loss"]["anyOf"][0]["enum"])
    for command, name, own in (
        ("losses", "focal  mine 1.0", "huber  seqbench"),
        ("optimizers", "lion  mine 1.0", "muon  seqbench"),
        ("schedules", "trapezoid  mine 1.0", "one_cycle  seqbench"),
    ):
        listed = seqbench_cli(command).stdout
        assert name in listed
        assert own in listed


RUN = """
name: methods
datasets: [adding: {length: 5, train_size: 60, validation_size: 20, test_size: 20}]
models: [teacher]
train: {epochs: 1, batch_size: 20, loss: mse, optimizer: {lion: {lr: 1e-3}}, schedule: trapezoid}
seeds: [0]
measure: [accuracy]
"""


def test_a_run_uses_records_and_follows_them(
    installed: Path, tmp_path: Path, seqbench_cli: Callable[..., Any], monkeypatch: Any
) -> None:
    """Also a model's own training_step."""
    monkeypatch.chdir(tmp_path)
    Path("methods.yaml").write_text(RUN)
    done = seqbench_cli("run", "methods.yaml")
    assert done.returncode == 0, done.stderr
    notes = seqbench_cli("show", "--explain").stdout
    notes = " ".join(notes.split())
    assert "lion lr=0.001" in notes
    assert "(mine 1.0), loss mse" in notes
    assert "trained with the model's own training_step: teacher" in notes
    (document,) = [seqbench.Run.open(p).document for p in Path("results", "methods").iterdir()]
    assert "Trained with the model's own training_step: teacher" in methods(document)
    module = installed / "mine_made.py"
    module.write_text(module.read_text("utf-8") + "\n# edited\n")
    again = seqbench_cli("run", "--resume", "--dry-run")
    assert "comes from a package that has moved or changed" in again.stdout + again.stderr
