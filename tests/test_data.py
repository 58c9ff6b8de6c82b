"""Preparing a dataset: validation, the file, memory mapping."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from conftest import install_encoder
from small_runs import start, wait_for
from small_splits import pair_of

from seqbench import DataContext, Splits, Task
from seqbench.errors import DataError, PluginError
from seqbench.plugins.choice import Choice
from seqbench.training.data import (
    cache_dir,
    is_prepared,
    open_splits,
    prepare_dataset,
    prepared_path,
    read_metadata,
)
from seqbench.training.split import Split

FEATURES = Task("features", input_size=3, target="label", output_size=4, length=5)
TOKENS = Task("tokens", input_size=7, target="label_per_step", output_size=4, length=5)
VALUES = Task("features", input_size=3, target="value", output_size=2, length=5)
SEVERAL = Task("features", input_size=3, target="labels", output_size=2, length=5)

#: What the toy plugin returns, and how often it was called.
answer: Any = None
calls = 0


def load(context: DataContext, **params: Any) -> Any:
    global calls
    calls += 1
    if isinstance(answer, Exception):
        raise answer
    return answer


def choice(path: str = f"{__name__}:load", **params: Any) -> Choice:
    return Choice("toy", params, path, "toy-package", "1.2")


def splits(task: Task = FEATURES, **changes: Any) -> Splits:
    """Valid splits of 6, 4 and 2 sequences, with ``changes`` applied."""

    def pair(n: int) -> tuple[torch.Tensor, torch.Tensor]:
        if task.input == "tokens":
            x = torch.arange(n * task.length).reshape(n, task.length) % task.input_size
        else:
            x = torch.linspace(0, 1, n * task.length * 3).reshape(n, task.length, 3)
        y = {
            "label": torch.arange(n) % task.output_size,
            "value": torch.linspace(-1, 1, n * task.output_size).reshape(n, task.output_size),
            "labels": torch.arange(n * task.output_size).reshape(n, -1) % 2,
            "label_per_step": torch.arange(n * task.length).reshape(n, -1) % task.output_size,
        }[task.target]
        return x, y

    whole = Splits(task, train=pair(6), test=pair(4), validation=pair(2))
    return dataclasses.replace(whole, **changes)


def prepare(cache: Path, result: Any, **params: Any) -> Path:
    global answer, calls
    answer, calls = result, 0
    return prepare_dataset(choice(**params), cache=cache, data_dir=None, say=lambda text: None)


def opened_train(path: Path) -> Split:
    return open_splits(path).stored["train"]


@pytest.mark.parametrize("task", [FEATURES, TOKENS, VALUES])
def test_loaded_tensors_are_opened_unchanged(tmp_path: Path, task: Task) -> None:
    given = splits(task)
    opened = open_splits(prepare(tmp_path, given))
    assert opened.task == task
    assert list(opened.stored) == ["train", "test", "validation"]
    for name, split in opened.stored.items():
        pairs = zip(getattr(given, name), (split.inputs, split.targets), strict=True)
        for before, after in pairs:
            assert torch.equal(before, after)
            assert before.dtype == after.dtype
            assert after.is_contiguous()


def test_a_causal_task_is_stored_and_others_are_stored_as_before(tmp_path: Path) -> None:
    causal = dataclasses.replace(TOKENS, causal=True)
    assert open_splits(prepare(tmp_path / "causal", splits(causal))).task == causal
    metadata = read_metadata(prepare(tmp_path, splits(TOKENS)))
    assert json.loads(metadata["task"]) == {
        "input": "tokens", "input_size": 7, "target": "label_per_step", "output_size": 4,
        "length": 5, "class_names": [],
    }  # fmt: skip


def test_class_names_and_no_validation(tmp_path: Path) -> None:
    task = dataclasses.replace(FEATURES, class_names=("a", "b", "c", "ö"))
    opened = open_splits(prepare(tmp_path, splits(task, validation=None)))
    assert opened.task.class_names == ("a", "b", "c", "ö")
    assert opened.validation is None


def test_arrays_are_converted(tmp_path: Path) -> None:
    x = numpy.linspace(0, 1, 6 * 5 * 3).reshape(6, 5, 3)[::-1]  # float64, backwards
    y = numpy.array([0, 1, 2, 3, 0, 1], dtype=numpy.uint8)
    train = opened_train(prepare(tmp_path, splits(train=(x, y))))
    assert numpy.array_equal(train.inputs.numpy(), x.astype(numpy.float32))
    assert train.targets.tolist() == [0, 1, 2, 3, 0, 1]
    assert train.targets.dtype == torch.int64


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("nested", [torch.strided, torch.jagged])
def test_sequences_of_unequal_length_are_a_list_of_any_kind(
    tmp_path: Path, nested: torch.layout
) -> None:
    parts = [torch.rand(5, 3), torch.rand(2, 3), torch.rand(4, 3)]
    objects = numpy.empty(3, dtype=object)
    objects[:] = [part.numpy() for part in parts]
    for number, x in enumerate(
        (parts, tuple(parts), objects, torch.nested.nested_tensor(parts, layout=nested))
    ):
        train = opened_train(prepare(tmp_path, splits(train=(x, torch.arange(3))), n=number))
        assert torch.equal(train.inputs, torch.cat(parts))
        assert train.lengths.tolist() == [5, 2, 4]
        assert train.targets.tolist() == [0, 1, 2]


def test_splits_may_share_memory(tmp_path: Path) -> None:
    pair = splits().train
    opened = open_splits(prepare(tmp_path, splits(train=pair, test=pair)))
    assert torch.equal(opened.stored["train"].inputs, opened.test.inputs)


def test_loaded_once_per_set_of_parameters(tmp_path: Path) -> None:
    first = prepare(tmp_path, splits(), seed=1)
    assert calls == 1
    assert prepare(tmp_path, splits(), seed=1) == first
    assert calls == 0
    assert prepare(tmp_path, splits(), seed=2) != first
    assert calls == 1


def test_the_file_depends_on_what_can_change_its_content(tmp_path: Path) -> None:
    one = choice(seed=1)
    others = [
        choice(seed=2),
        dataclasses.replace(one, version="1.3"),
        dataclasses.replace(one, distribution="other"),
        dataclasses.replace(one, name="toy2"),
    ]
    paths = {prepared_path(each, tmp_path) for each in [one, *others]}
    assert len(paths) == 5
    assert not is_prepared(one, tmp_path)


def test_errors_of_the_plugin_propagate_and_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="mine"):
        prepare(tmp_path, ZeroDivisionError("mine"))
    assert list((tmp_path / "prepared").iterdir()) == []


FLAWS: list[tuple[Callable[[], Any], str]] = [
    (lambda: None, "load returned NoneType, not seqbench.Splits"),
    (lambda: dataclasses.replace(splits(), task=None), "task is NoneType, not seqbench.Task"),  # type: ignore[arg-type]
    (lambda: splits(train=pair_of(splits().train)[0]), "train is Tensor, not a pair"),
    (lambda: splits(train=(torch.rand(6, 5), torch.zeros(6).long())), r"not \(n, time, 3\)"),
    (lambda: splits(test=(torch.rand(4, 5, 2), torch.zeros(4).long())), r"test x has shape \(4, 5"),
    (
        lambda: splits(train=(torch.rand(6, 5, 3), torch.zeros(5).long())),
        r"train y has shape \(5,\), not \(6,\)",
    ),
    (lambda: splits(train=(torch.rand(0, 5, 3), torch.zeros(0).long())), "train x is empty"),
    (
        lambda: splits(train=(torch.ones(6, 5, 3).byte(), torch.zeros(6).long())),
        "train x is torch.uint8, not torch.float32",
    ),
    (
        lambda: splits(train=(torch.rand(6, 5, 3), torch.zeros(6))),
        "train y is torch.float32, not torch.int64",
    ),
    (
        lambda: splits(train=(torch.full((6, 5, 3), torch.nan), torch.zeros(6).long())),
        r"train x contains NaN or infinity \(as torch.float32\): 90 of 90 numbers, first in "
        "sequence 0; only finite numbers are accepted$",
    ),
    (
        lambda: splits(train=(torch.ones(6, 5, 3).double() * 1e300, torch.zeros(6).long())),
        r"NaN or infinity \(as torch.float32\)",
    ),
    (
        lambda: splits(train=(torch.rand(6, 5, 3), torch.full((6,), 4))),
        "train y contains class 4, but task.output_size 4 allows 0 to 3",
    ),
    (
        lambda: splits(TOKENS, test=(torch.full((4, 5), -1), torch.zeros(4, 5).long())),
        "test x contains token -1, but task.input_size 7 allows 0 to 6",
    ),
    (
        lambda: splits(TOKENS, test=(torch.zeros(4, 5).long(), torch.zeros(4).long())),
        r"test y has shape \(4,\), not \(n, time\)$",
    ),
    (
        lambda: splits(VALUES, validation=(torch.rand(2, 5, 3), torch.rand(2))),
        r"validation y has shape \(2,\), not \(n, 2\)$",
    ),
    (
        lambda: splits(train=([[[1.0]]], torch.zeros(1).long())),
        r"train x is list; accepted: one dense tensor or NumPy array of floating-point numbers, "
        r"\(n, time, 3\), or a list of \(time, 3\), one for each sequence; make its parts arrays$",
    ),
    (
        lambda: splits(TOKENS, train=(torch.zeros(1, 5).long(), [[0, 1, 2, 3, 0]])),
        r"train y is list; accepted: one dense tensor or NumPy array of integers, \(n, time\), or",
    ),
    (
        lambda: splits(train=(torch.rand(2, 5, 3), [torch.tensor(0), torch.tensor(1)])),
        r"train y is list; accepted: one dense tensor or NumPy array of integers, \(n,\);",
    ),
    (
        lambda: splits(
            train=(
                torch.rand(2, 5, 3),
                torch.nested.nested_tensor([torch.zeros(1), torch.ones(2)], layout=torch.jagged),
            )
        ),
        r"train y is a nested tensor; accepted: one dense .* NumPy array of integers, \(n,\)$",
    ),
    (
        lambda: splits(train=(torch.rand(6, 5, 3).to_sparse(), torch.zeros(6).long())),
        r"train x is a sparse tensor \(torch.sparse_coo\); accepted: one dense tensor",
    ),
    (
        lambda: splits(train=(torch.rand(6, 5, 3).to("meta"), torch.zeros(6).long())),
        "train x is a tensor on the device meta, without values; accepted",
    ),
    (
        lambda: splits(
            train=(numpy.ma.masked_less(numpy.ones((6, 5, 3), "float32"), 2), torch.zeros(6).long())
        ),
        "train x is an array with masked values; accepted: .*, without a mask$",
    ),
    (
        lambda: splits(train=(torch.rand(6, 5, 3), torch.zeros(6).long(), None, 1)),
        r"train is tuple of 4, not a pair of inputs and targets: \(x, y\), or \(x, y, weights\); x",
    ),
    (
        lambda: splits(train=(numpy.array([["a"]]), torch.zeros(1).long())),
        "train x is an array of <U1",
    ),
    (
        lambda: dataclasses.replace(splits(), task=dataclasses.replace(FEATURES, length=9)),
        "the longest sequence has 5 steps, but task.length is 9",
    ),
    (
        lambda: splits(dataclasses.replace(FEATURES, class_names=("a",))),
        "task.class_names has 1 names for 4 classes",
    ),
    (
        lambda: splits(dataclasses.replace(FEATURES, causal=True)),
        "task.causal is True, but task.target is 'label': only answers at each step can be causal",
    ),
    (
        lambda: splits(dataclasses.replace(TOKENS, causal="yes")),  # type: ignore[arg-type]
        "task.causal is 'yes', not True or False",
    ),
    (
        lambda: dataclasses.replace(
            splits(), task=dataclasses.replace(FEATURES, output_size=numpy.int64(4))
        ),
        "task.output_size is .*4.*, not an integer",
    ),
]


def ragged(*parts: Any, y: Any = None, weights: Any = None) -> Splits:
    """Training sequences of unequal length, one label each."""
    return splits(train=(list(parts), torch.zeros(len(parts)).long() if y is None else y, weights))


def stepped(x: Any, y: Any, weights: Any = None) -> Splits:
    """Training tokens with a label for each."""
    return splits(TOKENS, train=(x, y, weights))


LONG, SHORT = torch.rand(5, 3), torch.rand(4, 3)
FIVE, FOUR = torch.arange(5) % 4, torch.arange(4)
ONES = torch.ones(6)

#: Of lists, one array for each sequence.
LIST_FLAWS: list[tuple[Callable[[], Any], str]] = [
    (lambda: splits(train=([], torch.zeros(0).long())), r"train x is empty \(a list of no sequen"),
    (lambda: ragged(LONG, SHORT[:0]), r"train x\[1\] has no steps \(shape \(0, 3\)\)"),
    (
        lambda: ragged(LONG, SHORT[:, :2]),
        r"train x\[1\] has shape \(4, 2\), not \(time, 3\)$",
    ),
    (
        lambda: ragged(LONG[None], SHORT[None]),
        r"train x\[0\] has shape \(1, 5, 3\), not \(time, 3\)",
    ),
    (
        lambda: ragged(LONG, SHORT.long()),
        r"train x\[1\] is torch.int64, not torch.float32; accepted",
    ),
    (lambda: ragged(LONG, SHORT.to_sparse()), r"train x\[1\] is a sparse tensor .*: \(time, 3\)$"),
    (
        lambda: ragged(LONG, SHORT, SHORT / 0 * torch.eye(4, 3)),
        r"train x contains NaN or infinity .*: 12 of 39 numbers, first in sequence 2; only finite",
    ),
    (
        lambda: ragged(torch.cat([LONG, LONG]), SHORT),
        "the longest sequence has 10 steps, but task.length is 5",
    ),
    (
        lambda: ragged(LONG, SHORT, y=torch.zeros(3).long()),
        r"train y has shape \(3,\), not \(2,\) \(target 'label', inputs of a list of unequal len",
    ),
    (lambda: stepped([FIVE, FOUR], [FIVE]), "train y has 1 sequences, but x has 2"),
    (lambda: stepped([FIVE, FOUR], [FIVE, FIVE]), r"train y\[1\] has 5 steps, but x\[1\] has 4"),
    (
        lambda: stepped([FIVE, FOUR], torch.zeros(2, 5).long()),
        r"train y\[1\] has 5 steps, but x\[1\] has 4",
    ),
    (
        lambda: stepped(
            torch.nested.nested_tensor([FIVE, FOUR], layout=torch.jagged),
            torch.nested.nested_tensor([FOUR, FIVE], layout=torch.jagged),
        ),
        r"train y\[0\] has 4 steps, but x\[0\] has 5",
    ),
    (
        lambda: stepped(torch.zeros(2, 5).long(), [FIVE, FOUR]),
        r"train y\[1\] has 4 steps, but x\[1\] has 5",
    ),
    (
        lambda: stepped([FIVE, FOUR + 4], [FIVE, FOUR]),
        "train x contains token 7, but task.input_size",
    ),
    (
        lambda: stepped([FIVE, FOUR], [FIVE, FOUR + 1]),
        "train y contains class 4, but task.output_si",
    ),
    (
        lambda: stepped([FIVE, FOUR], [FIVE, FOUR], [ONES[:5], ONES[:5]]),
        r"train weights\[1\] has 5 steps, but x\[1\] has 4",
    ),
    (
        lambda: stepped([FIVE, FOUR], [FIVE, FOUR], ONES[:3]),
        r"train weights has shape \(3,\), not \(2,\)",
    ),
]

WEIGHTED: Any = torch.rand(6, 5, 3), torch.zeros(6).long()

#: Of weights, and of labels that do not count.
WEIGHT_FLAWS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: splits(train=(*WEIGHTED, 1)),
        "train weights is int; accepted: one dense tensor or Nu",
    ),
    (
        lambda: splits(train=(*WEIGHTED, ONES[:5])),
        r"train weights has shape \(5,\), not \(6,\) \(target 'label', inputs of shape \(6, 5, 3",
    ),
    (
        lambda: splits(train=(*WEIGHTED, torch.ones(6, 5))),
        r"train weights has shape \(6, 5\), not \(n,\)",
    ),
    (
        lambda: splits(train=(*WEIGHTED, ONES - 1.5)),
        r"train weights contains -0.5; accepted: 0, and 1e-09 to 1e\+09",
    ),
    (lambda: splits(train=(*WEIGHTED, ONES * torch.inf)), "train weights contains NaN or infinity"),
    (
        lambda: splits(train=(*WEIGHTED, ONES * 0)),
        "train y: no target counts, since all have weight 0",
    ),
    (
        lambda: splits(test=(torch.rand(4, 5, 3), torch.full((4,), -100))),
        "test y: no target counts, since all have weight 0",
    ),
    (
        lambda: splits(train=(WEIGHTED[0], torch.tensor([-100, *[0] * 5]), torch.eye(6)[0])),
        "train y: no target counts, since all have weight 0",
    ),
    (
        lambda: splits(train=(WEIGHTED[0], torch.tensor([-1, *[-100] * 5]))),
        "train y contains class -1, but task.output_size 4 allows 0 to 3",
    ),
    (lambda: stepped(FIVE[None] - 100, FIVE[None]), "train x contains token -100, but task.input_"),
    (
        lambda: splits(SEVERAL, train=(WEIGHTED[0], torch.full((6, 2), -100))),
        "train y contains -100; accepted: 0 and 1",
    ),
]


@pytest.mark.parametrize(("make", "message"), FLAWS + LIST_FLAWS + WEIGHT_FLAWS)
def test_a_flaw_is_named_with_its_plugin(
    tmp_path: Path, make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prepare(tmp_path, make())
    assert str(caught.value).startswith("dataset 'toy' of toy-package 1.2: ")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "prepared").iterdir()) == []


@pytest.mark.parametrize("path", ["no_such_module:load", f"{__name__}:no_such_function"])
def test_an_import_path_that_does_not_exist(tmp_path: Path, path: str) -> None:
    with pytest.raises(PluginError, match=r"toy-package 1\.2.*no_such"):
        prepare_dataset(choice(path), cache=tmp_path, data_dir=None, say=print)


def test_an_import_path_that_cannot_be_imported(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "half_baked.py").write_text("from seqbench import no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"toy-package 1\.2: cannot import 'half_baked:load'"):
        prepare_dataset(choice("half_baked:load"), cache=tmp_path, data_dir=None, say=print)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_detected_renamed_and_replaced(tmp_path: Path, keep: int) -> None:
    path = prepare(tmp_path, splits())
    path.write_bytes(path.read_bytes()[:keep])
    assert not is_prepared(choice(), tmp_path)
    with pytest.raises(DataError, match=r"damaged.*renamed to toy-.*\.corrupt; run again"):
        open_splits(path)
    assert not path.exists()
    prepare(tmp_path, splits())
    assert torch.equal(opened_train(path).inputs, pair_of(splits().train)[0])


def test_a_truncated_file_is_prepared_again_without_being_opened(tmp_path: Path) -> None:
    path = prepare(tmp_path, splits())
    path.write_bytes(path.read_bytes()[:-1])
    prepare(tmp_path, splits())
    assert calls == 1
    assert is_prepared(choice(), tmp_path)


def test_a_file_without_a_task_is_damaged(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"train_x": numpy.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="damaged"):
        open_splits(tmp_path / "x.safetensors")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_splits(tmp_path / "x.safetensors")


def test_a_cache_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="SEQBENCH_CACHE"):
        prepare(tmp_path / "file", splits())


def test_concurrent_preparation_is_safe(tmp_path: Path) -> None:
    global answer
    answer = splits()
    problems: list[BaseException] = []

    def prepare_and_open() -> None:
        try:
            path = prepare_dataset(choice(), cache=tmp_path, data_dir=None, say=print)
            assert torch.equal(opened_train(path).inputs, pair_of(splits().train)[0])
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=prepare_and_open) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(list((tmp_path / "prepared").iterdir())) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_opening_shares_pages_instead_of_copying(tmp_path: Path) -> None:
    def private_kib() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    n = 200_000  # sequences of 5 steps of 3 numbers of 4 bytes: 12 MB
    train = torch.rand(n, 5, 3), torch.zeros(n).long()
    path = prepare(tmp_path, splits(train=train))
    before = private_kib()
    opened = open_splits(path)
    assert opened.stored["train"].inputs.sum() > 0  # every page is read
    assert private_kib() - before < 2_000


def test_paths_import_no_torch(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from seqbench.plugins.choice import Choice
from seqbench.training import data
choice = Choice("toy", {}, "toy:load", "toy", "1")
assert not data.is_prepared(choice, Path(sys.argv[1]))
data.cache_dir()
heavy = {"torch", "numpy", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment)


def test_cache_dir(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQBENCH_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("SEQBENCH_CACHE", "")
    assert "seqbench" in str(cache_dir())


SLOW = """
    import time
    import torch

    class Slow(torch.nn.Linear):
        def forward(self, x):
            time.sleep(0.05 * self.training)
            return super().forward(x)
    """
SLOW_SUITE = """
    name: small
    datasets: [{parity: {length: 4, train_size: 40, validation_size: 10, test_size: 10}}]
    models: [slow]
    train: {epochs: 2, batch_size: 10}
    seeds: 6
    metrics: [cross_entropy]
    measure: {latency: {batch_sizes: [1], budget: 100ms, processes: 3, warm_up: 1ms}}
    """


def any_file(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


@pytest.mark.slow
def test_a_cache_that_is_deleted_during_a_run_is_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While seeds train, and while latency is measured: everything succeeds."""
    cache, site = tmp_path / "cache", tmp_path / "site"
    monkeypatch.setenv("SEQBENCH_CACHE", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(site))
    install_encoder(site, "slow", "Slow", SLOW)
    (tmp_path / "small.yaml").write_text(textwrap.dedent(SLOW_SUITE))
    process = start(tmp_path, "--json")
    for pattern in ("trials/*.json", "samples/*.unfinished.json.gz"):
        wait_for(partial(any_file, tmp_path, f"results/*/*/{pattern}"), process)
        shutil.rmtree(cache)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    document = json.loads(stdout)
    assert [trial["status"] for trial in document["trials"]] == ["ok"] * 6
    assert document["cases"][0]["reason"] == ""
    assert document["cases"][0]["latency"]
    again = f"{cache}: the prepared data of parity are missing or damaged; preparing them again"
    assert stderr.count(again) == 2
    assert "no such file" not in stderr
