"""The answers that are kept with each trial, and the trained models that are loaded again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import install
from small_splits import answered

import seqbench
from seqbench.errors import NotPrepared, PluginError, StoreError, UsageError
from seqbench.plugins.choice import Choice
from seqbench.report.caveats import caveats
from seqbench.runner.phases.answers import answers_file
from seqbench.store.answers import AnswersFile, Asked
from seqbench.store.files import sha256_of
from seqbench.store.run_folder import RunFolder
from seqbench.store.validation import adapter
from seqbench.training.confusion import Confusion
from seqbench.training.data import cache_dir, open_splits, prepared_path
from seqbench.training.evaluation import EVALUATION_BATCH, TaskMetric

LATER = """
    import seqbench
    import torch

    @seqbench.hookimpl
    def seqbench_datasets():
        return [seqbench.DatasetSpec("later", load="steps:load")]

    @seqbench.hookimpl
    def seqbench_models():
        return [seqbench.ModelSpec("forgetful", build="steps:Forgetful", kind="model")]

    def load(context):
        '''The token of one step ago, in sequences of 6; more than one batch of an evaluation.'''
        x = torch.randint(3, (1240, 6), generator=torch.Generator().manual_seed(0))
        y = torch.cat([torch.zeros(1240, 1, dtype=torch.int64), x[:, :-1]], 1)
        task = seqbench.Task("tokens", 3, "label_per_step", 3, 6)
        return seqbench.Splits(task, (x[:100], y[:100]), (x[140:], y[140:]),
                               validation=(x[100:140], y[100:140]))

    class Forgetful(torch.nn.Module):
        '''Has state that its weights file does not hold.'''
        def __init__(self, task):
            super().__init__()
            shape = (task.input_size, task.output_size)
            self.weight = torch.nn.Parameter(torch.zeros(shape))
            self.offset = torch.rand(shape)

        def forward(self, x):
            return (self.weight + self.offset)[x]
    """

SUITE: dict[str, Any] = {
    "name": "answers",
    "datasets": [
        {"adding": {"length": 4, "train_size": 100, "test_size": 1100}},
        {"parity": {"length": 4, "train_size": 100, "test_size": 1100}},
        "later",
    ],
    "models": [{"gru": {"hidden_size": 4}}],
    "train": {"epochs": 3, "batch_size": 20, "optimizer": {"adam": {"lr": 0.03}}},
    "seeds": 2,
    "measure": ["accuracy"],
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    site = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", str(site), prepend=":")
        install(site, "steps", {"steps": LATER}, "steps = steps")
        yield site


@pytest.fixture(scope="module")
def trained(package: Path, tmp_path_factory: pytest.TempPathFactory) -> seqbench.Run:
    run = seqbench.run(SUITE, out=tmp_path_factory.mktemp("results"), progress=False)
    assert run.ok
    return run


@pytest.fixture
def run(trained: seqbench.Run, tmp_path: Path) -> seqbench.Run:
    """A copy that a test may change."""
    path = tmp_path / "results" / "answers" / trained.path.name
    shutil.copytree(trained.path, path)
    return seqbench.Run.open(path)


def test_every_figure_follows_from_the_kept_answers(trained: seqbench.Run) -> None:
    kinds = set()
    for record in trained.records:
        found = trained.predictions(record.id)
        figure, confusion = TaskMetric(found.task), Confusion(found.task)
        answers, targets = map(torch.from_numpy, (found.answers, found.targets))
        for start in range(0, len(answers), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            some = answered(found.task, answers[part], targets[part])
            figure.update(some)
            confusion.update(some)
        assert figure.value == record.metrics["value"]
        assert confusion.result().items() <= record.metrics.items()
        kinds.add(found.task.target)
    assert kinds == {"value", "label", "label_per_step"}


def test_the_arrays_are_as_documented(trained: seqbench.Run) -> None:
    label = trained.predictions("gru", 0, dataset="parity")
    steps = trained.predictions("gru", 1, dataset="later")
    value = trained.predictions("gru", 1, dataset="adding")
    assert (label.answers.shape, steps.answers.shape, value.answers.shape) == (
        (1100, 2), (1100, 6, 3), (1100, 1)
    )  # fmt: skip
    for one, kind in ((label, np.int64), (steps, np.int64), (value, np.float32)):
        assert one.answers.dtype == np.float32
        assert one.targets.dtype == kind
        assert one.lengths is None
    assert label.classes == ("even", "odd")
    assert steps.classes == ("0", "1", "2")
    assert (value.classes, value.predicted) == ((), None)
    assert label.predicted is not None
    assert steps.predicted is not None
    assert steps.predicted.shape == steps.targets.shape
    recall = (label.predicted == 1)[label.targets == 1].mean()
    (record,) = [one for one in trained.records if one.id == label.trial]
    assert record.metrics["recall"][1] == pytest.approx(recall)
    assert repr(label) == f"<Predictions of {label.trial}: label, (1100, 2)>"


def test_a_loaded_model_gives_the_kept_answers(trained: seqbench.Run) -> None:
    for dataset in ("adding", "parity", "later"):
        state = torch.get_rng_state()
        module, task = trained.load_model("gru", seed=1, dataset=dataset)
        assert torch.equal(torch.get_rng_state(), state)
        found = trained.predictions("gru", seed=1, dataset=dataset)
        assert not module.training
        assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}
        assert task == found.task
        with torch.inference_mode():
            fresh = module(inputs_of(trained, found.trial)).numpy()
        np.testing.assert_allclose(fresh, found.answers, rtol=0, atol=1e-5)


def inputs_of(run: seqbench.Run, trial: str) -> torch.Tensor:
    """The test split that a trial was evaluated on."""
    folder = RunFolder.open(run.path)
    case = next(one for one in folder.plan()["cases"] if trial.startswith(one["id"]))
    dataset: Choice = adapter(Choice).validate_python(case["dataset"])
    return open_splits(prepared_path(dataset, cache_dir())).test.inputs


def test_one_line_says_which_trials_a_name_could_mean(trained: seqbench.Run) -> None:
    for arguments, problem in (
        (("gru", 0), "give a seed, a dataset, or one of these ids"),
        (("gru", 7), "'gru' has no trial with that seed and dataset, only gru-"),
        (("gro", 0), "did you mean 'gru'?"),
    ):
        with pytest.raises(UsageError, match=re.escape(problem)) as caught:
            trained.predictions(*arguments)
        assert "\n" not in str(caught.value)


def change(run: seqbench.Run, trial: str, **values: Any) -> None:
    """Change the record of a trial."""
    path = run.path / "trials" / f"{trial}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_is_missing_damaged_or_failed_is_refused(run: seqbench.Run) -> None:
    names = [record.id for record in run.records]
    kept, weights = run.path / answers_file(names[0]), run.path / f"weights/{names[0]}.safetensors"
    for path, read in ((kept, run.predictions), (weights, run.load_model)):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"x")
        with pytest.raises(StoreError, match="is damaged"):
            read(names[0])
        path.unlink()
        with pytest.raises(StoreError, match="No such file"):
            read(names[0])
        path.write_bytes(content)
        read(names[0])
        with RunFolder(run.path).locked():
            RunFolder(run.path).removed.remove([str(path.relative_to(run.path))])
        with pytest.raises(StoreError, match="were removed"):
            read(names[0])
    change(run, names[1], kept_answers=None)  # as before answers were kept
    with pytest.raises(StoreError, match="were not kept, since its suite had "):
        run.predictions(names[1])
    assert run.load_model(names[1])
    change(run, names[2], status="timeout", reason="too slow")
    again = seqbench.Run.open(run.path)
    with pytest.raises(UsageError, match="did not succeed: timeout: too slow"):
        again.predictions(names[2])


def test_a_model_that_is_not_the_trained_one_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = {**SUITE, "datasets": ["later"], "models": ["forgetful"], "seeds": 1}
    run = seqbench.run(suite, out=tmp_path, progress=False)
    with pytest.raises(PluginError, match=r"answers differently, by .*plain attributes \(offset\)"):
        run.load_model("forgetful")
    assert run.predictions("forgetful").answers.shape == (1100, 6, 3)
    with monkeypatch.context() as patch:
        patch.setenv("SEQBENCH_CACHE", str(tmp_path / "empty"))
        with pytest.raises(NotPrepared, match="'later' is not prepared here; `seqbench run"):
            run.load_model("forgetful")
    source = package / "steps.py"
    code = source.read_text()
    source.write_text(code + "\nEDITED = True\n")
    with pytest.raises(PluginError, match=r"steps 1\.0 was edited, or .* since it was trained"):
        run.load_model("forgetful")
    source.write_text(code)


# The limit.

LIMITED = {**SUITE, "datasets": SUITE["datasets"][:2], "keep": {"answers": "27kB"}}


def test_the_limit_is_shared_by_plan_and_what_it_leaves_out_is_named(
    trained: seqbench.Run, tmp_path: Path
) -> None:
    """8,800 bytes each for adding, 17,600 for parity: only the first seeds fit."""
    run = seqbench.run(LIMITED, out=tmp_path, progress=False)
    records = {record.id: record for record in run.records}
    over = [name for name, one in records.items() if one.seed]
    kept = {answers_file(name) for name, one in records.items() if not one.seed}
    assert {f"answers/{path.name}" for path in (run.path / "answers").iterdir()} == kept
    whole = {one.id: one.kept_answers for one in trained.records}
    for name, record in records.items():
        assert record.kept_answers is not None
        if name not in over:
            assert record.kept_answers == whole[name]  # the same bytes
    (line,) = [one for one in run_log(run) if "test answers not kept" in one]
    assert all(name in line for name in over)
    (note,) = [one for one in caveats(run.document) if "Test answers" in one]
    assert note == (
        "Test answers not kept, since the limit is 0.027 MB a run (keep.answers): "
        "gru on adding seed 1, gru on parity seed 1."
    )
    with pytest.raises(StoreError, match=r"were not kept: the limit is 0.027 MB a run"):
        run.predictions("gru", 1, dataset="parity")

    # A resume retrains nothing for answers, and removes what a lower limit does not keep.
    for limit, left in (("all", 2), ("9kB", 1), ("none", 0)):
        lower = [f"keep.answers={limit}"]
        again = seqbench.run(resume=run.path, out=tmp_path, overrides=lower, progress=False)
        assert [one.started for one in again.records] == [one.started for one in run.records]
        assert len(list((again.path / "answers").iterdir())) == left


def run_log(run: seqbench.Run) -> list[str]:
    return (run.path / "run.log").read_text().splitlines()


def test_rm_deletes_only_the_answers(run: seqbench.Run, seqbench_cli: Callable[..., Any]) -> None:
    done = seqbench_cli("rm", "--yes", "--answers", run.path)
    assert done.returncode == 0, done.stderr
    assert "answers: all figures stay" in done.stdout
    assert list((run.path / "answers").iterdir()) == []
    assert seqbench.Run.open(run.path).document == run.document
    assert run.load_model("gru", 0, dataset="parity")


# The file.


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    task = seqbench.Task("features", 1, "value", 2, 3)
    answers = np.arange(8, dtype=np.float32).reshape(4, 2)
    path = tmp_path / "answers" / "one.npz"

    def write(error: Exception | None = None) -> None:
        with AnswersFile(path, Asked(task, (4,), targets=answers)) as file:
            file.write(answers[:3])
            if error is not None:
                raise error
            file.write(answers[3:])

    with pytest.raises(OSError, match="of the model"):  # which is not the file's
        write(OSError("of the model"))
    assert list(path.parent.iterdir()) == []
    write()
    first = sha256_of(path)
    with np.load(path) as archive:  # nothing but NumPy is needed
        np.testing.assert_array_equal(archive["answers"], answers)
    write()
    assert sha256_of(path) == first
    shutil.rmtree(path.parent)
    path.parent.write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write()
