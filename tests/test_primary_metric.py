"""The primary metric: its figures by hand, the epoch that it selects, and how it is shown."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_splits import answered, prepared
from suite_registry import REGISTRY
from test_suite import TINY, parse
from test_training import SETTINGS
from torch import Tensor, nn

from seqbench import Task
from seqbench.errors import DataError, NotApplicable, SuiteError
from seqbench.plan.cases import Metric
from seqbench.plan.expand import make_plan
from seqbench.plugins.choice import Choice
from seqbench.plugins.discovery import load_plugins
from seqbench.report.charts.axes import Axis, axes
from seqbench.report.charts.kinds import draw
from seqbench.report.charts.source import groups, read_run
from seqbench.report.columns.column import Column
from seqbench.report.interchange.source import own_metric
from seqbench.report.numbers import Estimate
from seqbench.report.page.methods import methods
from seqbench.report.verdict.of_run import verdict_of
from seqbench.store.run_folder import RunFolder
from seqbench.suite.validate import parse_suite
from seqbench.training.evaluation import Answered
from seqbench.training.fresh import FreshSplit
from seqbench.training.loop import train_model
from seqbench.training.parts import Parts
from seqbench.training.plugin_metric import PluginMeter
from seqbench.training.prepared import PreparedSplits
from seqbench.training.primary import primary_of
from seqbench.training.split import Split, TestSet

CPU = torch.device("cpu")

BINARY = Task("features", 2, "label", 2, 1)


def installed(name: str, **params: Any) -> Metric:
    """A metric that is installed, as a plan has it."""
    offer = load_plugins().look_up("metric", name)
    spec = offer.spec
    choice = Choice.of(offer, {**{k: p.default for k, p in spec.parameters.items()}, **params})
    return Metric(
        name, choice, tuple(spec.targets), spec.higher_is_better, spec.share, spec.unit
    )  # fmt: skip


def figure(
    name: str,
    task: Task,
    answers: Any,
    targets: Any,
    *,
    weights: Any = None,
    train: Split | None = None,
    **params: Any,
) -> float:
    """Of answers (n, outputs), or with targets at each step (n, time, outputs)."""
    meter = PluginMeter(installed(name, **params).choice, task, train)
    found = answered(task, torch.tensor(answers), torch.tensor(targets))
    if weights is not None:
        found = Answered(found.answers, found.targets, torch.tensor(weights), found.lengths)
    meter.update(found)
    return meter.value


def logits(predicted: list[int], classes: int) -> list[list[float]]:
    return [[float(label == one) for one in range(classes)] for label in predicted]


# ---------------------------------------------------------------------------------------- by hand


def test_perplexity_and_bits() -> None:
    answers = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]).log().tolist()
    task = Task("features", 1, "label", 3, 1)
    assert figure("bits_per_token", task, answers, [0, 1]) == pytest.approx(1.5)
    assert figure("perplexity", task, answers, [0, 1]) == pytest.approx(2**1.5)


def test_macro_f1() -> None:
    task = Task("features", 1, "label", 4, 1)
    # Class 0: 1 of 1 found, 1 of 2 predictions right; 1: 2 of 3, 2 of 3; 2: 1 of 2, 1 of 1.
    answers = logits([0, 0, 1, 1, 1, 2], 4)
    expected = pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)  # class 3 does not occur
    assert figure("macro_f1", task, answers, [0, 1, 1, 1, 2, 2]) == expected
    # Without the wrong prediction of class 0, and with another weight of a right one.
    found = figure(
        "macro_f1", task, answers, [0, 1, 1, 1, 2, 2], weights=[1.0, 0.0, 3.0, 1.0, 1.0, 1.0]
    )
    assert found == pytest.approx((1 + 2 * 4 / (4 + 5) + 2 / 3) / 3)
    several = Task("features", 1, "labels", 2, 1)
    hits = [[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]
    assert figure("macro_f1", several, hits, [[1, 0], [0, 1], [1, 1]]) == pytest.approx(
        (2 / 4 + 4 / 4) / 2
    )


def test_auroc() -> None:
    scores = [0.1, 0.4, 0.35, 0.8]
    answers = [[0.0, math.log(p / (1 - p))] for p in scores]
    assert figure("auroc", BINARY, answers, [0, 0, 1, 1]) == pytest.approx(0.75)
    assert figure("auroc", BINARY, [[0.0, 1.0]] * 4, [0, 0, 1, 1]) == 0.5  # all tied
    # The wrong pair, 0.4 above 0.35, counts 2 of (1 + 2) · 2.
    weighted = figure("auroc", BINARY, answers, [0, 0, 1, 1], weights=[1.0, 2.0, 1.0, 1.0])
    assert weighted == pytest.approx(1 - 2 / 6)
    three = Task("features", 1, "label", 3, 1)
    # Class 2 does not occur; 0 and 1 are separated by the probabilities, not by the logits of 1.
    answers = [[0.0, 3.0, 9.0], [5.0, 4.0, 0.0]]
    assert figure("auroc", three, answers, [1, 0]) == pytest.approx((1.0 + 0.0) / 2)
    with pytest.raises(ValueError, match="all targets are of one class"):
        figure("auroc", BINARY, answers=[[0.0, 1.0]] * 2, targets=[1, 1])


def test_auroc_ranks_confident_answers() -> None:
    """Probabilities in double precision round to 1 from a difference of about 37 on."""
    scores, targets = torch.tensor([40.0, 50.0, 60.0, 70.0]), [0, 1, 0, 1]
    answers = torch.stack([torch.zeros(4), scores], 1).tolist()
    assert figure("auroc", BINARY, answers, targets) == pytest.approx(0.75)
    three = [[0.0, 1.0, score] for score in scores.tolist()]
    task = Task("features", 1, "label", 3, 1)
    assert figure("auroc", task, three, [1, 2, 1, 2]) == pytest.approx(0.75)


def test_auroc_is_that_of_all_pairs() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randint(5, (60,), generator=draw).float()  # many are tied
    targets = torch.randint(2, (60,), generator=draw)
    right, wrong = scores[targets == 1][:, None], scores[targets == 0]
    pairs = ((right > wrong).double() + 0.5 * (right == wrong).double()).mean().item()
    answers = torch.stack([torch.zeros(60), scores], 1).tolist()
    assert figure("auroc", BINARY, answers, targets.tolist()) == pytest.approx(pairs)


def test_exact_match_counts_sequences() -> None:
    task = Task("features", 1, "label_per_step", 2, 2)
    answers = [logits([0, 1], 2), logits([0, 0], 2), logits([1, 1], 2)]
    assert figure("exact_match", task, answers, [[0, 1], [0, 1], [1, 1]]) == pytest.approx(2 / 3)
    # The wrong step does not count, and nothing of the third sequence does.
    weights = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert figure("exact_match", task, answers, [[0, 1], [0, 1], [0, 0]], weights=weights) == 1.0


def test_exact_match_of_sequences_of_unequal_length() -> None:
    task = Task("features", 1, "label_per_step", 2, 3)
    split = Split(task, torch.zeros(6, 1), torch.zeros(6, dtype=torch.int64),
                  offsets=torch.tensor([0, 1, 4, 6]))  # fmt: skip
    metric = installed("exact_match").choice
    meter, parts = PluginMeter(metric, task), Parts(split, lambda: PluginMeter(metric, task))
    answers = torch.tensor(logits([0, 0, 1, 0, 0, 0], 2))  # the second sequence is wrong
    found = Answered(answers, split.targets, None, split.lengths)
    for one in (meter, parts):
        one.update(found)
    assert meter.value == pytest.approx(2 / 3)
    assert [part["value"] for part in parts.result()["parts"]] == [1.0, 1.0, 0.0]


def test_errors_of_numbers() -> None:
    task = Task("features", 1, "value", 2, 1)
    answers, targets = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 4.0], [0.0, 4.0]]
    assert figure("rmse", task, answers, targets) == pytest.approx(math.sqrt(13 / 4))
    train = Split(task, torch.zeros(3, 1, 1), torch.tensor([[1.0, 2.0], [2.0, 5.0], [5.0, 6.0]]))
    # The series 1, 2, 5, 6: steps of 1, 3, 1; of two steps 4, 4.
    assert figure("mase", task, answers, targets, train=train) == pytest.approx((5 / 4) / (5 / 3))
    found = figure("mase", task, answers, targets, train=train, period=2)
    assert found == pytest.approx((5 / 4) / 4)
    # Two series: 1, 2, 5, and 2, 5, 6.
    apart = figure("mase", task, answers, targets, train=train, outputs="variables")
    assert apart == pytest.approx(((3 / 2) / 2 + (2 / 2) / 2) / 2)


def test_the_scale_of_mase_is_of_windows_that_begin_a_step_apart() -> None:
    task = Task("features", 1, "value", 3, 1)
    series = torch.tensor([1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0, 29.0])
    windows = series.unfold(0, 3, 1)

    def found(rows: list[int]) -> float:
        train = Split(task, torch.zeros(len(rows), 1, 1), windows[rows])
        return figure("mase", task, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]], train=train)

    assert found([0, 1, 2, 3, 4, 5]) == pytest.approx((1 / 3) / (28 / 7))
    # Without a window, 1, 2, 4, 7 and 7, 11, 16, 22, 29 are two series.
    assert found([0, 1, 3, 4, 5]) == pytest.approx((1 / 3) / ((6 + 22) / 7))
    with pytest.raises(ValueError, match="are not windows of one series, each a step after"):
        found([0, 2, 4])


def test_the_scale_of_mase_is_of_the_steps_within_each_sequence_that_count() -> None:
    task = Task("features", 1, "value_per_step", 1, 4)
    values = torch.tensor([1.0, 3.0, 9.0, 4.0, 9.0, 5.0])[:, None]
    weights = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    split = Split(task, torch.zeros(6, 1), values, weights, torch.tensor([0, 2, 6]))
    metric = installed("mase").choice
    # 1 to 3, and 9 to 5: the third and the fourth step are next to one that does not count.
    meter = PluginMeter(metric, task, split)
    meter.update(answered(Task("features", 1, "value_per_step", 1, 1),
                          torch.tensor([[[1.0]]]), torch.tensor([[[2.5]]])))  # fmt: skip
    assert meter.value == pytest.approx(1.5 / 3)
    fresh = object.__new__(FreshSplit)
    with pytest.raises(NotApplicable, match="needs the targets of a stored training split"):
        PluginMeter(metric, task, fresh)
    still = Split(task, torch.zeros(1, 3, 1), torch.ones(1, 3, 1))
    with pytest.raises(ValueError, match="all training targets that are 1 steps apart are equal"):
        PluginMeter(metric, task, still)


# --------------------------------------------------------------------------------- the best epoch


class Scripted(nn.Module):
    """Answers in evaluation mode as the script says for the epoch that was trained."""

    def __init__(self, script: list[list[list[float]]], steps: int):
        super().__init__()
        self.script, self.steps = script, steps
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("seen", torch.zeros(()))
        self.seen: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
            return self.weight.expand(len(x), 2)
        epoch = math.ceil(self.seen.item() / self.steps)
        return torch.tensor(self.script[epoch - 1])[x[:, 0, 0].long()]


def imbalanced() -> Any:
    """Ten sequences, of which two are of class 1; inputs are their numbers."""
    x = torch.arange(10.0)[:, None, None].expand(10, 1, 2).contiguous()
    y = torch.tensor([0] * 8 + [1] * 2)
    return prepared(BINARY, (x, y), (x, y), (x, y))


def test_it_selects_the_best_epoch() -> None:
    script = [logits([0] * 10, 2), logits([0] * 5 + [1] * 5, 2), logits([1] * 10, 2)]
    expected = {"accuracy": (1, 0.8), "macro_f1": (2, (2 * 5 / 13 + 2 * 2 / 7) / 2)}
    settings = {**SETTINGS, "batch_size": 10, "optimizer": {"name": "sgd", "params": {"lr": 0.0}}}
    for name, (epoch, value) in expected.items():
        data, model = imbalanced(), Scripted(script, 1)
        metric = None if name == "accuracy" else installed(name)
        found = train_model(
            model, data, settings, device=CPU, seed=0, primary=primary_of(data, metric)
        ).metrics
        assert found["best_epoch"] == epoch
        assert found["value"] == found["validation"] == pytest.approx(value)
        if metric is not None:
            assert found["accuracy"] == pytest.approx(0.7)
            assert "mse" not in found


def test_a_lower_figure_is_better_if_the_metric_says_so() -> None:
    sure, unsure = [[9.0, 0.0]] * 8 + [[0.0, 9.0]] * 2, [[0.1, 0.0]] * 8 + [[0.0, 0.1]] * 2
    data = imbalanced()
    settings = {**SETTINGS, "batch_size": 10, "optimizer": {"name": "sgd", "params": {"lr": 0.0}}}
    primary = primary_of(data, installed("perplexity"))
    model = Scripted([unsure, sure, unsure], 1)
    found = train_model(model, data, settings, device=CPU, seed=0, primary=primary).metrics
    assert found["best_epoch"] == 2
    assert found["value"] == pytest.approx(1 + math.exp(-9), rel=1e-6)


def test_it_must_support_the_targets() -> None:
    with pytest.raises(DataError, match="rmse supports value, value_per_step, not label"):
        primary_of(imbalanced(), installed("rmse"))


def test_one_that_cannot_be_computed_fails_before_the_training() -> None:
    task = Task("features", 1, "value_per_step", 1, 3)
    still = torch.zeros(1, 3, 1), torch.ones(1, 3, 1)
    with pytest.raises(ValueError, match="all training targets that are 1 steps apart are equal"):
        primary_of(prepared(task, still, still), installed("mase"))


def test_one_that_is_not_defined_on_the_test_split_fails_before_the_training() -> None:
    x, y = torch.zeros(4, 1, 2), torch.tensor([0, 1, 1, 1])
    test = Split(BINARY, x, y, sets=(TestSet("a", 2), TestSet("b", 2)))
    splits = PreparedSplits(BINARY, Split(BINARY, x, y), test, Split(BINARY, x, y))
    with pytest.raises(DataError, match="auroc cannot be computed on the test set 'b': ValueErr"):
        primary_of(splits, installed("auroc"))
    assert primary_of(splits, installed("macro_f1")).name == "macro_f1"
    one_class = PreparedSplits(BINARY, Split(BINARY, x, y), Split(BINARY, x[2:], y[2:]))
    with pytest.raises(DataError, match="auroc cannot be computed on the test split: ValueError"):
        primary_of(one_class, installed("auroc"))


def test_a_test_set_for_which_it_is_not_defined_says_so() -> None:
    x, y = torch.zeros(4, 1, 2), torch.tensor([0, 1, 1, 1])
    split = Split(BINARY, x, y, sets=(TestSet("a", 2), TestSet("b", 2)))
    metric = installed("auroc").choice
    parts = Parts(split, lambda: PluginMeter(metric, BINARY))
    for number in range(2):
        rows = slice(2 * number, 2 * number + 2)
        answers = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        parts.update(Answered(answers, y[rows], None, torch.ones(2), test_set=number))
    first, second = parts.result()["parts"]
    assert first["value"] == 1.0
    assert second["value"] is None
    assert "AUROC is not defined: all targets are of one class" in second["reason"]


# -------------------------------------------------------------------------------------- in a suite


def test_it_is_part_of_the_id_and_not_computed_twice() -> None:
    text = f"{TINY}metrics: [top_k]\n"
    plain, chosen = (
        make_plan(parse(each), REGISTRY) for each in (text, f"{text}primary_metric: top_k\n")
    )
    same = make_plan(parse(f"{text}primary_metric: accuracy\n"), REGISTRY)
    assert [case.id for case in same.cases] == [case.id for case in plain.cases]
    assert not {case.id for case in plain.cases} & {case.id for case in chosen.cases}
    case = chosen.cases[0]
    assert not chosen.metrics_of(case)
    assert case.to_dict()["primary_metric"]["label"] == "top_k k=5"


def test_a_dataset_may_have_its_own() -> None:
    text = """
        datasets:
          - {parity: {length: 3}, primary_metric: {top_k: {k: 2}}}
          - {parity: {length: 4}, primary_metric: accuracy}
          - {parity: {length: 5}}
        models: [gru]
        primary_metric: {top_k: {k: 3}}
        """
    found = [case.primary_metric for case in make_plan(parse(text), REGISTRY).cases]
    assert [one and one.label for one in found] == ["top_k k=2", None, "top_k k=3"]


def test_one_dataset_may_be_ranked_by_several() -> None:
    text = """
        datasets:
          - parity
          - {parity: , primary_metric: {top_k: {k: 1}}}
          - {parity: , primary_metric: {top_k: {k: 2}}}
          - {parity: , primary_metric: top_k}
        models: [gru]
        """
    cases = make_plan(parse(text), REGISTRY).cases
    assert [case.dataset_label for case in cases] == [
        "parity", "parity primary_metric=top_k k=1", "parity primary_metric=top_k k=2",
        "parity primary_metric=top_k k=5",
    ]  # fmt: skip
    assert len({case.id for case in cases}) == 4
    for same, entry in (("{top_k: {k: 5}}", 2), ("accuracy", 0)):
        with pytest.raises(SuiteError, match=f"duplicate of datasets.{entry}"):
            parse(text.replace("{top_k: {k: 2}}", same))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("primary_metric: topk", "suite.yaml:3:1: primary_metric: unknown metric 'topk'; did you"),
        ("primary_metric: 3", "must be the name of a metric, alone or with parameters, not the"),
        ("primary_metric: {top_k: {k: [1, 2]}}", "must be one metric: a list of values makes sev"),
        ("target: top_k >= 0.5", "target: top_k is not the primary metric (write primary_metric:"),
        ("primary_metric: top_k\ntarget: top_k <= 0.5", "top_k needs >=, not '<=': higher is"),
        ("margin: {top_k: 1pp}", "margin.top_k: unknown key 'top_k'"),
        (
            "metrics: [top_k]\nmargin: {top_k: 5%}",
            "not the form of a margin of top_k (as in 1pp",
        ),
        ("metrics: [top_k]\nmargin: {top_k: [1]}", "must be a difference, not a list"),
        ("primary_metric: top_k\ntarget: top_k >= 5", "must be at most 1, not 5 (a fraction"),
    ],
)
def test_what_is_wrong_is_reported_with_its_line(text: str, words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse(f"{TINY}{text}\n")
    assert words in str(caught.value)


def test_published_figures_are_of_the_primary_metric() -> None:
    text = "datasets: [parity]\nmodels: [{gru: {}, reference: {top_k: 0.9, top_k_last: 0.8}}]\n"
    suite = parse(f"{text}primary_metric: top_k\n")
    assert suite.models[0].reference == {"top_k": 0.9, "top_k_last": 0.8}
    with pytest.raises(
        SuiteError, match=r"reference\.top_k: top_k is not the primary metric \(write primary_met"
    ):
        parse(text)


RANKED = """
        name: ranked
        datasets: [{parity: {length: 3, train_size: 200, validation_size: 50, test_size: 60}}]
        models:
          - {gru: {hidden_size: 4}, reference: {bits_per_token: 1.25}}
          - {rnn: {hidden_size: 4}}
        primary_metric: bits_per_token
        metrics: [bits_per_token, macro_f1]
        target: bits_per_token <= 30
        margin: {bits_per_token: 90%, macro_f1: 99pp}
        train: {steps: 8, evaluate_every: 4, batch_size: 50}
        seeds: 3
        measure: [accuracy]
        """


def test_a_run_that_is_ranked_by_it(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path]
) -> None:
    done = seqbench_cli("run", write_suite(RANKED))
    assert done.returncode == 0, done.stderr
    document = json.loads(seqbench_cli("show", "--format", "json").stdout)
    for case in document["cases"]:
        assert case["metric"]["name"] == "bits_per_token"
        assert not case["metric"]["higher_is_better"]
        assert case["metric"]["unit"] == "bits"
        assert case["own_metric"]["name"] == "accuracy"
        assert case["accuracy"]["mean"] == case["own_metric"]["mean"]
        assert list(case["scores"]) == ["macro_f1"]
        assert case["target"]["reached"] == 3
        assert case["target"]["steps"] == 4
    for trial in document["trials"]:
        # Cross-entropy in bits, as the validation loss is in nats.
        assert trial["metrics"]["validation"] > 0
        assert trial["metrics"]["accuracy"] != trial["metrics"]["value"]
    pairs = {(e["quantity"], e["scale"]) for e in document["comparisons"]}
    assert pairs == {("bits_per_token", "ratio"), ("accuracy", "difference"),
                     ("macro_f1", "difference")}  # fmt: skip
    verdicts = {e["quantity"]: (e["verdict"], e["margin"]) for e in document["comparisons"]}
    assert verdicts["bits_per_token"] == ("equivalent", 1.9)
    assert verdicts["macro_f1"][1] == 0.99
    assert verdicts["accuracy"][1] is None
    assert "test bits_per_token" in done.stdout
    assert "bits (± 95 % CI)" in done.stdout
    assert "bits_per_token ≤ 30" in done.stdout
    assert document["cases"][0]["metric"]["at"] == "best evaluation by validation"
    assert "reference" in done.stdout
    assert "1.25" in done.stdout
    header = seqbench_cli("show", "--format", "csv").stdout.splitlines()[0].split(",")
    assert {"score_bits_per_token", "accuracy", "reference_bits_per_token"} <= set(header)
    assert "bits_per_token" in seqbench_cli("list").stdout
    exports_of_a_run_in_bits(seqbench_cli)


def exports_of_a_run_in_bits(seqbench_cli: Callable[..., Any]) -> None:
    """Each metric once, with its unit; of the task's own the rest, since larger ones are better."""
    found = json.loads(seqbench_cli("export", "--format", "github").stdout)
    quality = {each["name"].split(" ", 1)[1]: each["unit"] for each in found}
    assert quality == {"bits_per_token": "bits", "error": "fraction", "1 - macro_f1": "fraction"}
    benchmarks = json.loads(seqbench_cli("export", "--format", "bmf").stdout).values()
    assert {"bits_per_token", "accuracy", "macro_f1"} <= next(iter(benchmarks)).keys()
    notes = seqbench_cli("show", "--format", "markdown").stdout
    assert "- test bits\\_per\\_token, accuracy, macro\\_f1: mean over successful seeds" in notes
    assert "bits_per_token on parity" in seqbench_cli("show", "--pairs").stdout


@pytest.mark.extra
def test_charts_of_a_run_in_bits(
    seqbench_cli: Callable[..., Any], write_suite: Callable[..., Path], tmp_path: Path
) -> None:
    done = seqbench_cli("run", write_suite(RANKED), "--json")
    document = json.loads(done.stdout)
    document["run"] = str(tmp_path / document["run"])
    (group,) = groups(read_run(document))
    titles = {
        "curves": "validation bits_per_token (bits)", "accuracy": "test bits_per_token (bits)",
        "pair-seeds": "bits_per_token (bits)", "published": "test bits_per_token (bits)",
    }  # fmt: skip
    for kind, title in titles.items():
        chart = draw(kind, group)
        assert not chart.missing
        assert title in json.dumps(chart.spec), kind
    assert axes(group)[0].title == "test bits_per_token (bits)"
    assert axes(group)[1].name == "parameters"  # not another metric: a cost
    assert "by validation bits_per_token count" in methods(document)
    for record in RunFolder.open(Path(document["run"])).trials():
        assert own_metric(record) == {"accuracy": record.metrics["accuracy"]}
    assert str(verdict_of(document)[0].statements[0]).startswith("bits_per_token: ")


def test_the_interval_of_a_negative_figure_is_not_cut() -> None:
    column = Column(
        field="score_nll", si="", header=("test nll", "", "(± 95 % CI)"), group="quality",
        estimates=(Estimate(-5.0, -6.0, -4.0), Estimate(0.5, -0.1, 1.1)), texts=("", ""),
        better="lower", interval=True,
    )  # fmt: skip
    bounds = [Axis(column).bounds(estimate) for estimate in column.estimates if estimate]
    assert bounds == [(-6.0, -4.0), (0.0, 1.1)]


def test_accuracy_and_mse_must_be_the_own_metric_of_the_dataset() -> None:
    registry = load_plugins()
    text = "datasets: [parity, {adding: {}, primary_metric: mse}]\nmodels: [gru]\n"
    assert parse_suite(text, registry=registry).primary_metric is None
    with pytest.raises(SuiteError, match=r"mse is not for parity, whose targets are label"):
        parse_suite(f"{text}primary_metric: mse\n", registry=registry)
    wrong = text.replace("mse", "accuracy")
    with pytest.raises(SuiteError, match=r"accuracy is not for adding, whose targets are value"):
        parse_suite(wrong, registry=registry)


def test_a_loss_that_is_not_for_the_targets_skips_the_cases_of_that_dataset() -> None:
    text = "datasets: [parity, adding]\nmodels: [gru]\ntrain: {loss: huber}\n"
    plan = make_plan(parse_suite(text, registry=load_plugins()), load_plugins())
    assert [case.misfit()[:36] for case in plan.cases] == [
        "train.loss: huber is for targets of ", ""
    ]  # fmt: skip
