"""Metrics of torchmetrics, returned by a plugin as they are: they work, or the docs list them.

Over all its classification and regression metrics. Answers are the logits of a model, in batches.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, pip_install
from small_splits import answered
from torch import Tensor

from seqbench import Task
from seqbench.errors import NotApplicable, PluginError
from seqbench.plugins.choice import Choice
from seqbench.training.plugin_metric import PluginMeter

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BUILD = """
import importlib

def build(task, module, name, options):
    return getattr(importlib.import_module(module), name)(**options)
"""

#: Arguments without a default, and those that make one number of several.
OPTIONS = {"num_labels": 3, "num_groups": 2, "beta": 2.0, "threshold": 0.5, "p": 3.0,
           "min_sensitivity": 0.5, "min_specificity": 0.5, "min_precision": 0.5,
           "min_recall": 0.5}  # fmt: skip
ROWS = 301
BATCHES = (100, 200, 300)  # the last batch has one row


@pytest.fixture(scope="module", autouse=True)
def _torchmetrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("torchmetrics")
    pip_install(site, Path("torchmetrics"), Path("lightning-utilities"))
    (site / "as_they_are.py").write_text(BUILD)
    sys.path.insert(0, str(site))
    yield
    sys.path.remove(str(site))
    for name in list(sys.modules):
        if name.partition(".")[0] in ("torchmetrics", "lightning_utilities", "as_they_are"):
            del sys.modules[name]


def names(module: str, start: str = "") -> list[str]:
    found = [n for n in importlib.import_module(module).__all__ if n.startswith(start)]
    assert found
    return found


def options(module: str, name: str, **given: Any) -> dict[str, Any]:
    kind = getattr(importlib.import_module(module), name)
    parameters = inspect.signature(kind.__init__).parameters
    without = {k for k, one in parameters.items() if one.default is inspect.Parameter.empty}
    required = {key: value for key, value in OPTIONS.items() if key in without}
    return {**required, **{key: value for key, value in given.items() if key in parameters}}


def figure(module: str, name: str, task: Task, data: tuple[Tensor, Tensor], **given: Any) -> float:
    """As a run computes it, in batches."""
    params = {"module": module, "name": name, "options": options(module, name, **given)}
    meter = PluginMeter(Choice(name, params, "as_they_are:build", "d", "1"), task)
    for answers, targets in zip(*(torch.tensor_split(x, BATCHES) for x in data), strict=True):
        meter.update(answered(task, answers, targets))
    return meter.value


def published(module: str, name: str, x: Tensor, y: Tensor, **given: Any) -> float:
    """As torchmetrics documents it, over all rows at once."""
    metric = getattr(importlib.import_module(module), name)(**options(module, name, **given))
    metric.update(x, y)
    return float(metric.compute())


def not_usable() -> list[str]:
    """The patterns of names that the docs list as not usable."""
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    listed = page.split("These metrics of torchmetrics cannot be used", 1)[1].split("\n\n", 2)[1]
    return re.findall(r"`([\w*]+)`", listed)


def is_usable(name: str) -> bool:
    return not any(fnmatch(name, pattern) for pattern in not_usable())


def classes(number: int) -> tuple[Task, tuple[Tensor, Tensor]]:
    """The last two batches hold logits from 0 to 1, which look like probabilities."""
    torch.manual_seed(number)
    logits = 2 * torch.randn(ROWS, number)
    logits[BATCHES[1] :] = torch.rand(ROWS - BATCHES[1], number)
    targets = torch.multinomial(logits.softmax(1), 1)[:, 0]
    return Task("features", 3, "label", number, 5), (logits, targets)


def values(number: int) -> tuple[Task, tuple[Tensor, Tensor]]:
    torch.manual_seed(number)
    targets = torch.rand(ROWS, number) + 0.1
    return Task("features", 3, "value", number, 5), (
        targets + 0.3 * torch.rand(ROWS, number),
        targets,
    )


CLASSIFICATION, REGRESSION = "torchmetrics.classification", "torchmetrics.regression"

#: Metrics of vectors, and metrics that need the number of outputs.
OF_SEVERAL = {"CosineSimilarity", "JensenShannonDivergence", "KLDivergence"}
WITH_OUTPUTS = {"ConcordanceCorrCoef", "KendallRankCorrCoef", "LogCoshError", "PearsonCorrCoef",
                "RelativeSquaredError", "SpearmanCorrCoef"}  # fmt: skip


def test_metrics_of_two_classes() -> None:
    task, data = classes(2)
    probabilities = data[0].double().softmax(1)[:, 1]
    for name in names(CLASSIFICATION, "Binary"):
        if is_usable(name):
            found = figure(CLASSIFICATION, name, task, data)
            expected = published(CLASSIFICATION, name, probabilities, data[1])
            assert found == pytest.approx(expected, rel=1e-5), name
        else:
            with pytest.raises((PluginError, TypeError)):
                figure(CLASSIFICATION, name, task, data)


def test_metrics_of_several_classes() -> None:
    task, data = classes(3)
    for name in names(CLASSIFICATION, "Multiclass"):
        given = {"num_classes": 3, "average": "macro"}
        if is_usable(name):
            found = figure(CLASSIFICATION, name, task, data, **given)
            expected = published(CLASSIFICATION, name, data[0].softmax(1), data[1], **given)
            assert found == pytest.approx(expected, rel=1e-5), name
        else:
            with pytest.raises(PluginError, match="which is not a finite number"):
                figure(CLASSIFICATION, name, task, data, **given)


def labels(number: int) -> tuple[Task, tuple[Tensor, Tensor]]:
    """Several labels at once; the last two batches hold logits that look like probabilities."""
    torch.manual_seed(number)
    logits = 2 * torch.randn(ROWS, number)
    logits[BATCHES[1] :] = torch.rand(ROWS - BATCHES[1], number)
    targets = torch.bernoulli(logits.sigmoid()).to(torch.uint8)
    return Task("features", 3, "labels", number, 5), (logits, targets)


def test_metrics_of_several_labels() -> None:
    task, data = labels(3)
    probabilities = data[0].double().sigmoid()
    usable = 0
    for name in names(CLASSIFICATION, "Multilabel"):
        if not is_usable(name):
            with pytest.raises((PluginError, TypeError)):
                figure(CLASSIFICATION, name, task, data)
            continue
        usable += 1
        given = {"average": "macro"}
        found = figure(CLASSIFICATION, name, task, data, **given)
        expected = published(CLASSIFICATION, name, probabilities, data[1].long(), **given)
        assert found == pytest.approx(expected, rel=1e-5), name
    assert usable >= 10
    for start in ("Binary", "Multiclass"):
        with pytest.raises(PluginError, match=r"for one label.*use MultilabelAccuracy\(num_labels"):
            figure(CLASSIFICATION, f"{start}Accuracy", task, data, num_classes=3)


def test_targets_that_do_not_count_reach_no_metric() -> None:
    """Three of five rows count, of which two are right: 2/3, and not 2/5 or 3/5."""
    task = Task("features", 3, "label", 2, 5)
    answers = torch.tensor([[0.0, 1], [0, 1], [1, 0], [0, 1], [0, 1]])
    targets, weights = torch.tensor([1, 1, 1, 0, 1]), torch.tensor([1.0, 1, 1, 0, 0])
    params = {"module": CLASSIFICATION, "name": "BinaryAccuracy", "options": {}}
    meter = PluginMeter(Choice("accuracy", params, "as_they_are:build", "d", "1"), task)
    some = dataclasses.replace(answered(task, answers, targets), weights=weights)
    meter.update(some)
    assert meter.value == pytest.approx(2 / 3)
    with pytest.raises(NotApplicable, match="accuracy takes no weights"):
        meter.update(dataclasses.replace(some, weights=weights / 2))


def test_metrics_that_do_not_fit_the_task_are_refused_in_one_line() -> None:
    task, data = classes(3)
    for name in filter(is_usable, names(CLASSIFICATION, "Binary")):
        with pytest.raises(
            PluginError, match=rf"^{name} is for 2 classes.*: use Multiclass\w+\(num"
        ):
            figure(CLASSIFICATION, name, task, data)
    for name in names(CLASSIFICATION, "Multilabel"):
        with pytest.raises(PluginError, match=rf"^{name} is for several labels at once"):
            figure(CLASSIFICATION, name, task, data)
    with pytest.raises(
        PluginError, match=r"of shape \(3,\).*must return one number, such as the m"
    ):
        figure(CLASSIFICATION, "MulticlassRecall", task, data, num_classes=3, average="none")


def test_metrics_of_single_values() -> None:
    task, data = values(1)
    for name in names(REGRESSION):
        if name == "ContinuousRankedProbabilityScore":
            assert not is_usable(name)
            with pytest.raises(PluginError, match="is for an ensemble of answers, which no task"):
                figure(REGRESSION, name, task, data)
        elif name in OF_SEVERAL:
            with pytest.raises(ValueError, match="2D"):
                figure(REGRESSION, name, task, data)
        else:
            found = figure(REGRESSION, name, task, data)
            expected = published(REGRESSION, name, *(part[:, 0] for part in data))
            assert found == pytest.approx(expected, rel=1e-5), name


def test_metrics_of_several_values() -> None:
    """One number, or that of each output, which is refused with what to do."""
    task, data = values(3)
    for name in filter(is_usable, names(REGRESSION)):
        given = {"num_outputs": 3} if name in WITH_OUTPUTS else {}
        if name in WITH_OUTPUTS - {"RelativeSquaredError"}:
            with pytest.raises(PluginError, match=r"of shape \(3,\).*must return one number"):
                figure(REGRESSION, name, task, data, **given)
        else:
            found = figure(REGRESSION, name, task, data, **given)
            expected = published(REGRESSION, name, data[0], data[1], **given)
            assert found == pytest.approx(expected, rel=1e-5), name


def test_perplexity_is_that_of_all_steps() -> None:
    task, data = classes(3)
    found = figure("torchmetrics.text", "Perplexity", task, data)
    expected = torch.nn.functional.cross_entropy(*data).exp()
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_a_subclass_with_its_own_update_gets_the_logits(tmp_path: Path) -> None:
    from seqbench.training.metric_inputs import inputs_for

    auroc: Any = importlib.import_module(CLASSIFICATION).BinaryAUROC

    class Own(auroc):  # type: ignore[misc]
        def update(self, answers: Tensor, targets: Tensor) -> None:
            super().update(answers.softmax(-1)[:, 1], targets)

    class Plain(auroc):  # type: ignore[misc]
        pass

    task, (logits, targets) = classes(2)
    for kind in (Own, Plain):
        metric = kind()
        metric.update(*inputs_for(metric, task)(logits, targets))
        expected = published(CLASSIFICATION, "BinaryAUROC", logits.softmax(1)[:, 1], targets)
        assert float(metric.compute()) == pytest.approx(expected)
