"""The file with a trained model's answers to the whole test split: ``answers/<trial>.npz``.

A NumPy archive of ``answers.npy`` and ``targets.npy``, with the task as ``task.json``, so that it
can be read where the dataset is not prepared. No pickle is written or read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import Self

from seqbench.errors import StoreError
from seqbench.records import TrialRecord
from seqbench.store.files import replace_file, sha256_of
from seqbench.store.run_folder import RunFolder
from seqbench.types import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Answers are close to noise: higher levels take longer and save nothing.
LEVEL = 1


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """The answers of a trained model to the test split, at the weights that its figure belongs to.

    Sequences are in the order of the dataset, so those of two trials on one dataset are paired.

    Args:
        trial: the trial's id.
        task: the dataset's task.
        answers: float32; for a label per sequence logits (n, classes), for a label per step logits
            (n, time, classes), for values (n, output_size).
        targets: int64 (n,) or (n, time) for labels; float32 (n, output_size) for values.
        lengths: number of steps of each sequence, (n,); None if all have the same.
    """

    trial: str
    task: Task
    answers: NDArray[np.float32]
    targets: NDArray[Any]
    lengths: NDArray[np.int64] | None = None

    @property
    def predicted(self) -> NDArray[np.int64] | None:
        """The predicted classes, int64, shaped as ``targets``; None if the targets are values."""
        return None if self.task.target == "value" else self.answers.argmax(-1)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, or their numbers as text; empty if the targets are values."""
        if self.task.target == "value":
            return ()
        return self.task.class_names or tuple(map(str, range(self.task.output_size)))

    def __repr__(self) -> str:
        """One line: the trial, and the shape of the answers."""
        return f"<Predictions of {self.trial}: {self.task.target}, {self.answers.shape}>"


class AnswersFile:
    """Writes the file batch by batch, so that it takes the memory of one batch. A context manager:
    the file appears when the block ends, and not at all if it raises or nothing was written.

    The same answers give the same bytes.

    Args:
        path: the file.
        targets: of the whole test split.

    Raises:
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, task: Task, targets: NDArray[Any]):
        self._path, self._task, self._targets = path, task, targets
        self._open = contextlib.ExitStack()
        self._stream: IO[bytes] | None = None

    def write(self, answers: NDArray[np.float32]) -> None:
        """Add the answers to the next sequences, shaped as :class:`Predictions` says."""
        with self._errors():
            if self._stream is None:
                self._stream = self._start(answers.shape[1:])
            self._stream.write(answers.tobytes())

    def _start(self, shape: tuple[int, ...]) -> IO[bytes]:
        """Write everything that comes before the answers; ``shape`` is that of one answer."""
        from numpy.lib import format as npy

        partial = self._open.enter_context(replace_file(self._path))
        archive = self._open.enter_context(zipfile.ZipFile(partial, "w"))
        with archive.open(_entry("task.json"), "w") as stream:
            stream.write(json.dumps(dataclasses.asdict(self._task)).encode())
        with archive.open(_entry("targets.npy"), "w", force_zip64=True) as stream:
            npy.write_array(stream, self._targets, allow_pickle=False)
        answers = self._open.enter_context(
            archive.open(_entry("answers.npy"), "w", force_zip64=True)
        )
        whole = (len(self._targets), *shape)
        about = {"descr": "<f4", "fortran_order": False, "shape": whole}
        npy.write_array_header_1_0(answers, about)
        return answers

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._errors():
            self._open.__exit__(kind, error, traceback)


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry of the archive, with a fixed date."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry._compresslevel = zipfile.ZIP_DEFLATED, LEVEL  # type: ignore[attr-defined]
    return entry


def kept_predictions(record: TrialRecord, folder: RunFolder) -> Predictions:
    """Read the answers that were kept of a trial.

    Raises:
        StoreError: there are none, and why; or the file is missing or damaged.
    """
    kept = record.kept_answers
    without = f"{record.id}: its test answers were not kept"
    if kept is None:
        raise StoreError(
            f"{without}, since its suite had keep.answers: none or its seqbench was older; "
            "Run.load_model returns the model, to answer again"
        )
    if kept["reason"]:
        raise StoreError(f"{without}: {kept['reason']}")
    path = folder.path / kept["file"]
    if folder.removed.is_gone(kept["file"]):
        raise StoreError(f"{record.id}: its test answers were removed (seqbench rm, keep.answers)")
    try:
        sound = sha256_of(path) == kept["sha256"]
    except OSError as error:
        raise StoreError(
            f"cannot read the answers of {record.id}: {path}: {error.strerror}"
        ) from error
    if not sound:
        raise StoreError(f"{path} is damaged: it is not the file that was written in training")
    return _read(path, record.id)


def _read(path: Path, trial: str) -> Predictions:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        task = json.loads(archive["task.json"])
        return Predictions(
            trial,
            Task(**{**task, "class_names": tuple(task["class_names"])}),
            archive["answers"],
            archive["targets"],
        )
