"""The file with a trained model's answers to the whole test split: ``answers/<trial>.npz``.

A NumPy archive of ``answers.npy`` and ``targets.npy``, with the task as ``task.json``, so that it
can be read where the dataset is not prepared; where they say something, also ``lengths.npy``,
``weights.npy`` and ``sets.json``. No pickle is written or read.
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
    Nothing is padded.

    Args:
        trial: the trial's id.
        task: the dataset's task.
        answers: float32, logits for classes: (n, output_size); with targets at each step
            (n, time, output_size), or, of unequal lengths, (steps, output_size), one sequence
            after another.
        targets: as ``answers``, without the last dimension for one label: int64 for a label, uint8
            for several, float32 for values. A target that does not count is 0.
        lengths: number of steps of each sequence, (n,); None if all have the same.
        weights: of each target; None if all are 1.
        sets: of a dataset with several test sets the name and number of sequences of each, in
            their order; else empty.
        form: what answers for classes are: ``logits``; of an estimator ``probabilities``
            (logarithms; for several labels log-odds), ``scores`` or ``classes`` (of several
            labels 1 or -1, else one-hot). The logarithm of 0 is -87.
    """

    trial: str
    task: Task
    answers: NDArray[np.float32]
    targets: NDArray[Any]
    lengths: NDArray[np.int64] | None = None
    weights: NDArray[np.float32] | None = None
    sets: tuple[tuple[str, int], ...] = ()
    form: str = "logits"

    @property
    def predicted(self) -> NDArray[np.int64] | None:
        """The predicted class or classes, int64, shaped as ``targets``; None for values."""
        if self.task.target_type == "value":
            return None
        if self.task.target_type == "labels":
            return (self.answers > 0).astype("int64")
        predicted: NDArray[np.int64] = self.answers.argmax(-1)
        return predicted

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, or their numbers as text; empty if the targets are values."""
        if self.task.target_type == "value":
            return ()
        return self.task.class_names or tuple(map(str, range(self.task.output_size)))

    def __repr__(self) -> str:
        """One line: the trial, and the shape of the answers."""
        return f"<Predictions of {self.trial}: {self.task.target}, {self.answers.shape}>"


@dataclass(frozen=True)
class Asked:
    """What the answers are to.

    Args:
        shape: of all answers, without outputs.
        targets, lengths, weights, sets: as in :class:`Predictions`.
    """

    task: Task
    shape: tuple[int, ...]
    targets: NDArray[Any]
    lengths: NDArray[np.int64] | None = None
    weights: NDArray[np.float32] | None = None
    sets: tuple[tuple[str, int], ...] = ()


class AnswersFile:
    """Writes the file batch by batch, so that it takes the memory of one batch. A context manager:
    the file appears when the block ends, and not at all if it raises or nothing was written.

    The same answers give the same bytes.

    Args:
        path: the file.
        asked: the whole test split.

    Raises:
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, asked: Asked):
        self._path, self._asked = path, asked
        self._open = contextlib.ExitStack()
        self._stream: IO[bytes] | None = None

    def write(self, answers: NDArray[np.float32]) -> None:
        """Add the next answers, (rows, outputs)."""
        with self._errors():
            if self._stream is None:
                self._stream = self._start(answers.shape[-1])
            self._stream.write(answers.tobytes())

    def _start(self, outputs: int) -> IO[bytes]:
        """Write everything that comes before the answers."""
        from numpy.lib import format as npy

        partial = self._open.enter_context(replace_file(self._path))
        archive = self._open.enter_context(zipfile.ZipFile(partial, "w"))
        with archive.open(_entry("task.json"), "w") as stream:
            stream.write(json.dumps(dataclasses.asdict(self._asked.task)).encode())
        if self._asked.sets:
            with archive.open(_entry("sets.json"), "w") as stream:
                stream.write(json.dumps(self._asked.sets).encode())
        for name in ("targets", "lengths", "weights"):
            values = getattr(self._asked, name)
            if values is not None:
                with archive.open(_entry(f"{name}.npy"), "w", force_zip64=True) as stream:
                    npy.write_array(stream, values, allow_pickle=False)
        answers = self._open.enter_context(
            archive.open(_entry("answers.npy"), "w", force_zip64=True)
        )
        whole = (*self._asked.shape, outputs)
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
    return _read(path, record)


def _read(path: Path, record: TrialRecord) -> Predictions:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        task = json.loads(archive["task.json"])
        sets = json.loads(archive["sets.json"]) if "sets.json" in archive else []
        return Predictions(
            record.id,
            Task.from_dict(task),
            archive["answers"],
            archive["targets"],
            lengths=archive.get("lengths"),
            weights=archive.get("weights"),
            sets=tuple((name, count) for name, count in sets),
            form=record.form or "logits",
        )
