"""Fashion-MNIST and its relatives: where they come from, and what is made of them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from seqbench_builtin import images
from seqbench_builtin.images import debian, idx, load, sources
from seqbench_builtin.images.catalog import FASHION_MNIST, KMNIST, MNIST, Collection
from small_splits import pair_of

from seqbench import DataContext, Splits
from seqbench.errors import DataError
from seqbench.plugins.choice import Choice
from seqbench.training.data import open_splits, prepare_dataset

#: A folder of data that may lie beside the checkout.
BESIDE = Path(__file__).parents[2] / "shared" / "data"
TINY = {
    "train-images-idx3-ubyte": (40, 28, 28),
    "train-labels-idx1-ubyte": (40,),
    "t10k-images-idx3-ubyte": (20, 28, 28),
    "t10k-labels-idx1-ubyte": (20,),
}


def fashion_choice(**params: Any) -> Choice:
    given = {"view": "rows", "validation": 5000, "permute": None, **params}
    return Choice(
        "fashion_mnist", given, "seqbench_builtin.images.load:fashion_mnist", "seqbench", "0.1.0"
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: Any) -> Iterator[tuple[Path, Path]]:
    """The cache and the prepared file of the real Fashion-MNIST."""
    named = os.environ.get("SEQBENCH_DATA")
    data_dir = Path(named) if named else BESIDE if BESIDE.is_dir() else None
    cache = tmp_path_factory.mktemp("cache")
    yield cache, prepare_dataset(fashion_choice(), cache=cache, data_dir=data_dir, say=print)
    shutil.rmtree(cache)


def test_real_images(real: tuple[Path, Path]) -> None:
    splits = open_splits(real[1])
    sizes = {"train": 55_000, "test": 10_000, "validation": 5_000}
    assert list(splits.stored) == list(sizes)
    for split, n in zip(splits.stored.values(), sizes.values(), strict=True):
        assert split.inputs.shape == (n, 28, 28)
        assert split.targets.bincount().tolist() == [n // 10] * 10
        assert (float(split.inputs.min()), float(split.inputs.max())) == (0.0, 1.0)
    assert splits.task.class_names[0] == "T-shirt/top"
    # The published mean of the 60,000 training images' pixels.
    total = sum(splits.stored[name].inputs.double().sum() for name in ("train", "validation"))
    assert float(total) / (60_000 * 784) == pytest.approx(0.2860, abs=1e-4)


@pytest.mark.slow
def test_second_preparation_needs_neither_plugin_nor_torchvision(real: tuple[Path, Path]) -> None:
    program = f"""
import sys
from pathlib import Path
from seqbench.plugins.choice import Choice
from seqbench.training import data
path = data.prepare_dataset({fashion_choice()!r}, cache=Path(sys.argv[1]), data_dir=None, say=print)
splits = data.open_splits(path)
print(tuple(splits.train.inputs.shape))
assert not {{"torchvision", "seqbench_builtin.images"}} & set(sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(real[0])]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "(55000, 28, 28)\n"


def write_idx(
    folder: Path, *, seed: int = 0, zipped: bool = True, labels: Any = None
) -> dict[str, str]:
    """Writes tiny files of the right kind; returns the digests of their contents."""
    random = numpy.random.RandomState(seed)
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, shape in TINY.items():
        values = random.randint(0, 256, size=shape)
        if len(shape) == 1:
            values = numpy.arange(shape[0]) % 10 if labels is None else labels
        content = idx._header(shape) + values.astype(numpy.uint8).tobytes()
        digests[name] = hashlib.sha256(content).hexdigest()
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return digests


class Offline:
    """Stands in for the ways that fetch; only the package works, and only if ``online`` is set."""

    def __init__(self, system: Path) -> None:
        self.system = system
        self.online: Path | None = None
        self.said: list[str] = []
        self.asked: list[str] = []

    def download(self, dataset_class: Any) -> Any:
        def fetch(folder: Path, say: Any) -> Path:
            self.asked.append("torchvision")
            raise RuntimeError("Error downloading\nno route to host")

        return fetch

    def package(self, package: str, folder: Path, say: Any) -> Path:
        self.asked.append("package")
        if self.online is None:
            raise DataError("apt-get is not installed")
        shutil.copytree(self.online, folder / "tree" / self.system.relative_to("/"))
        return folder / "tree"


@pytest.fixture
def offline(monkeypatch: Any, tmp_path: Path) -> Offline:
    """Tiny files instead of the real ones, and no network."""
    stub = Offline(tmp_path / "system")
    monkeypatch.setattr(idx, "FILES", TINY)
    monkeypatch.setattr(sources, "_downloader", stub.download)
    monkeypatch.setattr(debian, "fetch", stub.package)
    (tmp_path / "cache").mkdir()
    return stub


def tiny(collection: Collection, digests: dict[str, str], tmp_path: Path) -> Collection:
    return dataclasses.replace(collection, digests=digests, debian_folder=tmp_path / "system")


def load_tiny(
    collection: Collection,
    tmp_path: Path,
    offline: Offline,
    *,
    named: Path | None = None,
    view: str = "rows",
    validation: int = 10,
    permute: Any = None,
) -> Splits:
    context = DataContext(named, tmp_path / "cache", offline.said.append)
    return load.load(collection, context, view, validation, permute)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("inside", ["", "FashionMNIST/raw", "fashion-mnist"])
def test_a_named_folder_in_each_layout(
    tmp_path: Path, offline: Offline, zipped: bool, inside: str
) -> None:
    digests = write_idx(tmp_path / "named" / inside, zipped=zipped)
    collection = tiny(FASHION_MNIST, digests, tmp_path)
    splits = load_tiny(collection, tmp_path, offline, named=tmp_path / "named")
    assert pair_of(splits.train)[0].shape == (30, 28, 28)
    assert pair_of(splits.test)[1].tolist() == [*range(10), *range(10)]
    assert offline.asked == []
    assert list((tmp_path / "cache").iterdir()) == []  # no copy, nothing unfinished


@pytest.mark.parametrize("where", ["cache/FashionMNIST/raw", "system"])
def test_cache_and_system_folder(tmp_path: Path, offline: Offline, where: str) -> None:
    collection = tiny(FASHION_MNIST, write_idx(tmp_path / where), tmp_path)
    (tmp_path / "named").mkdir()
    load_tiny(collection, tmp_path, offline, named=tmp_path / "named")
    assert offline.asked == []
    assert offline.said == [
        f"{tmp_path / 'named'} does not contain the files of Fashion-MNIST; trying other locations"
    ]


def test_what_was_fetched_is_kept(tmp_path: Path, offline: Offline) -> None:
    offline.online = tmp_path / "online"
    collection = tiny(FASHION_MNIST, write_idx(offline.online), tmp_path)
    load_tiny(collection, tmp_path, offline)
    load_tiny(collection, tmp_path, offline)
    assert offline.asked == ["torchvision", "package"]
    assert offline.said == ["Fashion-MNIST: downloading the system's package dataset-fashion-mnist"]
    kept = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(kept) == sorted(f"{name}.gz" for name in TINY)


def test_a_damaged_cache_is_replaced(tmp_path: Path, offline: Offline) -> None:
    offline.online = tmp_path / "online"
    collection = tiny(FASHION_MNIST, write_idx(offline.online), tmp_path)
    kept = tmp_path / "cache" / "FashionMNIST" / "raw"
    shutil.copytree(offline.online, kept)
    name = spoil(kept, "truncated")
    load_tiny(collection, tmp_path, offline)
    assert (kept / name).read_bytes() == (offline.online / name).read_bytes()


def spoil(folder: Path, how: str) -> str:
    """Spoils one file of a folder; returns its name."""
    name = "train-labels-idx1-ubyte.gz" if how == "label" else "t10k-images-idx3-ubyte.gz"
    path = folder / name
    content = gzip.decompress(path.read_bytes())
    spoiled = {
        "truncated": lambda: path.read_bytes()[:-100],
        "empty": lambda: b"",
        "not gzip": lambda: b"<html>not found</html>" * 9000,
        "damaged": lambda: path.read_bytes()[:500] + b"\0" * 40 + path.read_bytes()[540:],
        "short": lambda: gzip.compress(content[:-1]),
        "long": lambda: gzip.compress(content + bytes(50_000_000)),
        "other shape": lambda: gzip.compress(idx._header((21, 28, 28)) + content[16:]),
        "other content": lambda: gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
        "label": lambda: gzip.compress(content[:-1] + b"\x0a"),
    }
    path.write_bytes(spoiled[how]())  # type: ignore[no-untyped-call]
    return name


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "is truncated"),
        ("empty", "is truncated"),
        ("not gzip", "is not an IDX file of 20 x 28 x 28 bytes"),
        ("damaged", "cannot be read"),
        ("short", "is truncated (15695 of 15696 bytes)"),
        ("long", "is longer than its header declares"),
        ("other shape", "is not an IDX file of 20 x 28 x 28 bytes"),
        ("other content", "is not Fashion-MNIST: the format is right but the content differs"),
        ("label", "has label 10, but there are 10 classes"),
    ],
)
def test_a_wrong_file_in_a_named_folder(
    tmp_path: Path, offline: Offline, how: str, message: str
) -> None:
    digests = write_idx(tmp_path / "named")
    write_idx(tmp_path / "system")  # good, but the user named another folder
    name = spoil(tmp_path / "named", how)
    collection = tiny(FASHION_MNIST, digests, tmp_path)
    with pytest.raises(DataError) as caught:
        load_tiny(collection, tmp_path, offline, named=tmp_path / "named")
    text = str(caught.value)
    assert text.startswith(f"data folder: {tmp_path / 'named' / name} ")
    assert message in text
    assert "\n" not in text
    assert offline.asked == []


def test_a_named_folder_that_lacks_a_file(tmp_path: Path, offline: Offline) -> None:
    collection = tiny(FASHION_MNIST, write_idx(tmp_path / "named"), tmp_path)
    (tmp_path / "named" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"named: missing t10k-labels-idx1-ubyte \(or \.gz\)"):
        load_tiny(collection, tmp_path, offline, named=tmp_path / "named")


def test_one_collection_in_the_place_of_another(
    tmp_path: Path, offline: Offline, monkeypatch: Any
) -> None:
    digests = write_idx(tmp_path / "named", seed=1)
    monkeypatch.setattr(idx, "OWNERS", dict.fromkeys(digests.values(), "MNIST"))
    for collection in (tiny(FASHION_MNIST, write_idx(tmp_path / "x"), tmp_path), KMNIST):
        with pytest.raises(DataError, match=f"gz belongs to MNIST, not {collection.title}"):
            load_tiny(collection, tmp_path, offline, named=tmp_path / "named")


@pytest.mark.parametrize("collection", [MNIST, KMNIST])
def test_the_others_by_the_same_code(
    tmp_path: Path, offline: Offline, collection: Collection
) -> None:
    digests = write_idx(tmp_path / "named" / collection.folders[0])
    known = digests if collection.digests else {}
    splits = load_tiny(
        dataclasses.replace(collection, digests=known), tmp_path, offline, named=tmp_path / "named"
    )
    assert len(splits.task.class_names) == 10


def test_when_all_ways_fail_each_is_listed(tmp_path: Path, offline: Offline) -> None:
    kept = tmp_path / "cache" / "FashionMNIST" / "raw"
    collection = tiny(FASHION_MNIST, write_idx(kept), tmp_path)
    spoil(kept, "truncated")
    with pytest.raises(DataError) as caught:
        load_tiny(collection, tmp_path, offline, named=tmp_path / "nowhere")
    text = str(caught.value)
    for part in (
        "Fashion-MNIST is unavailable",
        f"(1) data folder: {tmp_path / 'nowhere'} does not contain the files",
        f"(2) seqbench's cache: {kept / 't10k-images-idx3-ubyte.gz'} is truncated",
        f"(3) system folder: {tmp_path / 'system'} does not contain",
        "(4) download with torchvision: Error downloading no route to host",
        "(5) the system's package dataset-fashion-mnist: apt-get is not installed",
        "--data-dir or SEQBENCH_DATA",
    ):
        assert part in text
    assert "\n" not in text
    assert offline.asked == ["torchvision", "package"]


def test_progress_is_told_in_bytes(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sources, "PROGRESS_SECONDS", 0.01)
    told: list[tuple[int, int]] = []
    with sources._watched(tmp_path, 4_000, lambda done, total: told.append((done, total))):
        for n, arrived in ((1, (1_000, 4_000)), (3, (4_000, 4_000))):
            (tmp_path / f"{n}.gz").write_bytes(bytes(n * 1_000))
            deadline = time.monotonic() + 20
            while arrived not in told and time.monotonic() < deadline:
                time.sleep(0.01)
    assert (1_000, 4_000) in told
    assert told[-1] == (4_000, 4_000)


def test_folders_that_killed_runs_left_are_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "unfinished-old", tmp_path / "unfinished-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    with sources.unfinished_folder(DataContext(None, tmp_path, print)) as folder:
        assert folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished-new"]


def test_torchvision_that_does_not_fit_torch(monkeypatch: Any) -> None:
    def refuse(name: str) -> Any:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(DataError) as caught:
        load.torchvision_class(FASHION_MNIST)
    text = str(caught.value)
    assert f"torch {load._version('torch')} " in text
    assert f"torchvision {load._version('torchvision')} " in text
    assert "nms does not exist" in text
    assert "pip install --upgrade torch torchvision" in text
    assert "\n" not in text


def test_views() -> None:
    images = torch.arange(2 * 784).remainder(256).to(torch.uint8).reshape(2, 28, 28)
    rows = load.as_sequences(images, "rows")
    columns = load.as_sequences(images, "columns")
    pixels = load.as_sequences(images, "pixels")
    assert (rows.shape, columns.shape, pixels.shape) == ((2, 28, 28), (2, 28, 28), (2, 784, 1))
    assert rows[1, 3, 5] == columns[1, 5, 3] == pixels[1, 3 * 28 + 5, 0]
    assert float(rows.max()) == 1.0
    assert images.max() == 255  # the images themselves are left alone


def test_permutation_is_fixed(tmp_path: Path, offline: Offline) -> None:
    collection = tiny(FASHION_MNIST, write_idx(tmp_path / "system"), tmp_path)

    def pixels(permute: int | None) -> torch.Tensor:
        splits = load_tiny(collection, tmp_path, offline, view="pixels", permute=permute)
        assert (splits.task.input_size, splits.task.length) == (1, 784)
        inputs: torch.Tensor = pair_of(splits.test)[0]
        return inputs

    plain, first = pixels(None), pixels(92)
    assert torch.equal(first, pixels(92))
    assert not torch.equal(first, pixels(93))
    order = torch.from_numpy(numpy.random.RandomState(92).permutation(784))
    assert torch.equal(first, plain[:, order])  # one order for all images
    assert order[:5].tolist() == [553, 649, 113, 140, 92]


@pytest.mark.parametrize(
    ("view", "permute", "message"),
    [
        ("rows", 1, "needs 'view: pixels', not 'rows'"),
        ("pixels", -1, "-1 is neither a seed"),
        ("pixels", True, "True is neither a seed"),
        ("pixels", "yes", "'yes' is neither a seed"),
    ],
)
def test_permutations_that_make_no_sense(
    tmp_path: Path, offline: Offline, view: str, permute: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_tiny(FASHION_MNIST, tmp_path, offline, view=view, permute=permute)


@pytest.mark.parametrize("size", [0, 1, 7, 10, 503, 999])
def test_validation_is_stratified_and_disjoint(size: int) -> None:
    labels = numpy.repeat(numpy.arange(10), [150, 50, 100, 100, 100, 100, 100, 100, 100, 100])
    kept, held = load.stratified(labels, size)
    assert sorted([*kept, *held]) == list(range(1000))
    assert len(held) == size
    exact = size * numpy.bincount(labels) / 1000
    assert bool((abs(numpy.bincount(labels[held], minlength=10) - exact) < 1).all())
    numpy.random.seed(1)  # no global state decides
    assert numpy.array_equal(held, load.stratified(labels, size)[1])


def test_validation_of_none_and_of_too_many(tmp_path: Path, offline: Offline) -> None:
    collection = tiny(FASHION_MNIST, write_idx(tmp_path / "system"), tmp_path)
    splits = load_tiny(collection, tmp_path, offline, validation=0)
    assert splits.validation is None
    assert len(pair_of(splits.train)[0]) == 40
    with pytest.raises(DataError, match="validation: 40 leaves none of the 40"):
        load_tiny(collection, tmp_path, offline, validation=40)


def test_declarations() -> None:
    specs = {spec.name: spec for spec in images.seqbench_datasets()}
    assert set(specs) == {"fashion_mnist", "mnist", "kmnist"}
    for spec in specs.values():
        assert callable(getattr(load, spec.load.partition(":")[2]))


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs Debian or Ubuntu")
def test_debian_says_why(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(debian, "LIMIT_SECONDS", 0.001)
    with pytest.raises(DataError, match="apt-get update did not finish within"):
        debian.fetch("dataset-fashion-mnist", tmp_path, print)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="apt-get is not installed"):
        debian.fetch("dataset-fashion-mnist", tmp_path, print)


@pytest.mark.slow
def test_torchvisions_download_for_real(tmp_path: Path) -> None:
    """It works, or, where the network refuses, it gives up soon and leaves nothing behind."""
    context = DataContext(None, tmp_path, print)
    fetch = sources._downloader(load.torchvision_class(FASHION_MNIST))
    started = time.monotonic()
    try:
        sources._fetched(FASHION_MNIST, context, fetch)
    except Exception:
        assert time.monotonic() - started < 4 * sources.TIMEOUT_SECONDS
        assert list(tmp_path.iterdir()) == []
    else:
        assert idx.locate(tmp_path, FASHION_MNIST)
    assert socket.getdefaulttimeout() is None


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs Debian or Ubuntu")
@pytest.mark.parametrize("lists", [True, False])
def test_the_package_for_real(tmp_path: Path, monkeypatch: Any, lists: bool) -> None:
    if not lists:  # as in a container whose lists were removed
        (tmp_path / "lists" / "partial").mkdir(parents=True)
        (tmp_path / "apt.conf").write_text(f'Dir::State::lists "{tmp_path / "lists"}";\n')
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    context = DataContext(None, tmp_path, print)
    fetch = sources._package_fetcher(FASHION_MNIST)
    contents = sources._fetched(FASHION_MNIST, context, fetch)
    assert len(contents["train-images-idx3-ubyte"]) == 16 + 60_000 * 784
    assert idx.locate(tmp_path, FASHION_MNIST)
