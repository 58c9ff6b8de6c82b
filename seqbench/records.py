"""The records of a run about its trials and cases: plain data, written as JSON.

The types of all values, including nested ones, are used to validate records when they are read
(:mod:`seqbench.store.validation`), and to define the document (:mod:`seqbench.summary.schema`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, get_args

from typing_extensions import NotRequired, TypedDict  # pydantic refuses typing's before 3.12

#: Version of the record format; its history is in docs/results.md.
FORMAT = 2

Status = Literal["ok", "diverged", "failed", "timeout", "out_of_memory", "crashed", "skipped"]

STATUSES: tuple[Status, ...] = get_args(Status)

#: The length at which a latency was measured: a number of steps, or the mixture of lengths of the
#: test split.
Length = int | Literal["as_data"]

AS_DATA: Final = "as_data"


@dataclass(frozen=True)
class About:
    """The description of a key in the JSON Schema; part of the key's annotation."""

    text: str

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), "description": self.text}


class _AnyNumber:
    """A finite number, in which integers stay integers. Booleans are not numbers."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        schema = handler(source)
        choices = [
            {**one, "allow_inf_nan": False} if one["type"] == "float" else one
            for one in schema["choices"]
        ]
        error = {"custom_error_type": "number", "custom_error_message": "Input should be a number"}
        return {**schema, "choices": choices, **error}

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "number"}


Number = Annotated[float | int, _AnyNumber()]


class Keys(TypedDict):
    """Plain data with known keys; unknown keys of later versions are kept."""


# Outside of the class, since it would be a key there.
Keys.__pydantic_config__ = {"extra": "allow"}  # type: ignore[attr-defined]


class Part(Keys):
    """The figure of a part of the test split: a test set, or sequences of some lengths."""

    name: Annotated[str, About("of the test set; empty for a range of lengths")]
    shortest: Annotated[int, About("number of steps of its shortest sequence")]
    longest: Annotated[int, About("number of steps of its longest sequence")]
    sequences: Annotated[int, About("number of sequences")]
    value: Annotated[Number | None, About("the figure; null if it has none")]
    reason: Annotated[NotRequired[str], About("why it has no figure, if so")]


class MetricAbout(Keys):
    """What must be known of a plugin's metric to show its figures."""

    higher_is_better: Annotated[bool, About("whether higher is better")]
    share: Annotated[bool, About("whether it is a fraction, shown in percent")]
    unit: Annotated[str, About("its unit; empty for a plain number")]


class Metrics(Keys, total=False):
    """The quality of a trained model; ``value``, ``last`` and ``best`` exist if it trained."""

    value: Annotated[Number, About("the figure in tables: at the best epoch by validation, "
                                   "or at the last without a validation split")]  # fmt: skip
    last: Annotated[Number | None, About("test figure at the last weights; null for an estimator")]
    best: Annotated[Number | None, About("test figure at the best weights by validation")]
    best_epoch: Annotated[int | None, About("the best epoch by validation, from 1")]
    validation: Annotated[Number | None, About("validation figure at the best epoch")]
    train_loss: Annotated[Number, About("mean loss of the last epoch")]
    steps: Annotated[int, About("optimizer steps")]
    confusion: Annotated[list[list[int]], About("counts in the test split, [true][predicted]")]
    recall: Annotated[list[Number | None], About("of each class; null if it does not occur")]
    classes: Annotated[list[str], About("names of the classes")]
    parts: Annotated[list[Part], About("the figure of each test set, or range of lengths")]
    headline: Annotated[
        list[str], About("of several test sets those that the figure in tables is the mean of")
    ]
    accuracy: Annotated[Number, About("at the weights of value, if another metric is primary")]
    mse: Annotated[Number, About("at the weights of value, if another metric is primary")]
    padding: Annotated[Number, About("fraction of the steps in training that were padding")]
    training_step: Annotated[bool, About("that the model has its own training_step, whose loss "
                                         "train_loss then is")]  # fmt: skip
    muon: Annotated[list[str], About("names of the weights that Muon trained; all others were "
                                     "trained by the other optimizer")]  # fmt: skip
    confusion_reason: Annotated[str, About("why there is no confusion matrix")]
    diverged_step: Annotated[int, About("the step at which the trial diverged")]
    diverged_value: Annotated[str, About("its loss or output at that step")]


class Target(Keys):
    """The metric value that trainings should reach."""

    metric: Annotated[str, About("name of the primary metric, such as accuracy or mse")]
    value: Annotated[Number, About("the value to reach")]
    sign: Annotated[NotRequired[str], About(">= or <=, if it is the metric of a plugin")]


class Epoch(Keys):
    """One entry of a learning curve."""

    epoch: int
    train_loss: Number
    validation: NotRequired[Number]
    validation_loss: NotRequired[Number]
    seconds: Number
    steps: NotRequired[int]


class Answers(Keys):
    """Answers of a trained model to a few test sequences: see :class:`TrialRecord`."""

    inputs: str
    values: list[Number]
    outside: dict[str, str]
    reason: str
    random: NotRequired[bool]


class Data(Keys):
    """The size and shape of the data that a model was trained on and for."""

    train: Annotated[int, About("number of training sequences")]
    validation: Annotated[int, About("number of validation sequences")]
    test: Annotated[int, About("number of test sequences")]
    length: Annotated[int, About("steps of the longest sequence")]
    input_size: Annotated[int, About("numbers per step, or number of tokens")]
    output_size: Annotated[int, About("number of classes, labels or values")]


class KeptAnswers(Keys):
    """The file with a trained model's answers to the whole test split; ``file`` and ``sha256`` are
    empty if there is a ``reason`` why it was not written.
    """

    file: str
    sha256: str
    reason: str


class Attempt(Keys):
    """An attempt that was lost or failed."""

    status: Annotated[Status, About("how it ended")]
    reason: Annotated[str, About("why")]
    seconds: Annotated[Number | None, About("wall time")]


class Score(Keys):
    """The result of a plugin's metric; ``value`` is a number if ``status`` is ``ok``."""

    status: Status
    value: Number | None
    reason: str
    sets: NotRequired[dict[str, Number]]


class MeasuredJob(Keys):
    """A job that measured a case: see :class:`CaseRecord`."""

    key: str
    fingerprint: str
    met: NotRequired[str]
    n: int


@dataclass(frozen=True)
class TrialRecord:
    """The result of one trial.

    Args:
        id, case, seed: the trial, the id of its case, its seed.
        status, reason: how it ended, and why in one line if not ``ok``.
        metric: ``accuracy`` (a fraction) or ``mse``, as given by the dataset's task; or the label
            of the suite's primary metric. metric_about: of the latter, how to show it.
        metrics: ``value`` (the figure in tables: at the best epoch by validation, or at the last
            without a validation split), ``last`` and ``best`` (test figures at those weights),
            ``best_epoch``, ``validation`` (at the best epoch), ``train_loss``, ``steps``; for
            labels also ``confusion`` (test counts at the weights of ``value``,
            ``[true][predicted]``), ``recall`` of each class and ``classes``; with several test
            sets or unequal lengths ``parts``, with several test sets ``headline``, with padding in
            training ``padding``; with another primary metric the task's own, ``accuracy`` or
            ``mse``; for a diverged trial ``diverged_step``.
        curve: one entry per epoch: ``epoch``, ``train_loss``, ``validation``,
            ``validation_loss``, ``seconds``, ``steps`` (the total so far).
        started: UTC time, ISO 8601. seconds: wall time, not corrected for other load.
        initial: hash of the initial weights; of an estimator, of its answers.
        weights, log: files inside the run folder; an estimator has no weights. weights_sha256: hash
            of the weights file; of an estimator, of its answers to the test split.
        weights_stamp: size in bytes and modification time (ns) of the file with that hash.
        lines: the last lines of its log, unless ``status`` is ``ok``.
        answers: of the trained model to a few test sequences, to be compared with those of the
            loaded weights: ``inputs`` (a hash of the sequences), ``values``, ``outside`` (hashes of
            the state that is not in the weights file, by name), and ``reason`` if there are no
            values. None in runs that are older than this comparison.
        ahead_unknown: if the task is causal, why it could not be tested whether the trained model
            looks ahead; usually empty.
        padding_changes: largest change of an answer when its sequence is padded in a batch with
            longer ones, relative to the largest answer; 0 if none exceeds rounding, and if no batch
            is padded.
        padding_unknown: why it could not be tested whether answers change so; usually empty.
        kept_answers: to the whole test split (:mod:`seqbench.store.answers`). None if the suite
            keeps none, and in older runs.
        source: fingerprint of the model's source when it was trained (see :class:`Choice`).
        version: of the model's distribution when it was trained.
        scores: results of the suite's other metrics, by their id (:class:`Metric`): ``status``,
            ``value`` and ``reason``.
        attempts: earlier attempts, which were lost or failed: ``status``, ``reason``,
            ``seconds``.
        form: of an estimator for classes, what its answers say: ``probabilities`` (they are
            logarithms or log-odds), ``scores`` (of `decision_function`) or ``classes`` (of
            `predict`). Empty for other models.
        data: size and shape of its dataset. None if it did not train, and in older runs.
    """

    id: str
    case: str
    seed: int
    status: Status
    reason: str = ""
    metric: str = ""
    metrics: Metrics = field(default_factory=lambda: Metrics())
    curve: tuple[Epoch, ...] = ()
    started: str = ""
    seconds: Number = 0.0
    weights: str = ""
    weights_sha256: str = ""
    initial: str = ""
    weights_stamp: tuple[int, ...] = ()
    answers: Answers | None = None
    ahead_unknown: str = ""
    padding_changes: Number = 0.0
    padding_unknown: str = ""
    kept_answers: KeptAnswers | None = None
    log: str = ""
    lines: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    source: str = ""
    version: str = ""
    scores: Mapping[str, Score] = field(default_factory=dict)
    data: Data | None = None
    metric_about: MetricAbout | None = None
    form: str = ""
    format: int = FORMAT


class Timing(Keys):
    """Figures of one ``latency``, ``step`` or ``training_step``, which have more of their own."""

    median_s: Annotated[Number, About("median of the medians of the processes, in seconds")]
    low_s: Annotated[Number | None, About("lower bound of the 95 % interval, in seconds")]
    high_s: Annotated[Number | None, About("upper bound of the 95 % interval, in seconds")]
    p90_s: Annotated[Number | None, About("90th percentile of all calls, in seconds")]
    p99_s: Annotated[Number | None, About("99th percentile of all calls, in seconds")]
    n: Annotated[int, About("number of calls")]
    processes: Annotated[int, About("number of processes")]
    process_medians_s: Annotated[
        NotRequired[list[Number]], About("median of each process, in seconds")
    ]
    spread: Annotated[Number, About("interquartile range of all calls ÷ their median")]
    unstable: Annotated[bool, About("whether spread is too large")]
    steady: Annotated[bool, About("whether the warm-up reached a steady state")]
    precise: Annotated[
        NotRequired[bool], About("whether the interval has the precision that the suite requires")
    ]
    state_bytes: Annotated[NotRequired[int], About("of a step: bytes of state per sequence")]
    first_call_s: Annotated[
        NotRequired[Number], About("of a runtime: first call, including compilation, in seconds")
    ]
    graph_breaks: Annotated[NotRequired[int], About("of a runtime: number of graph breaks")]


class Mixture(Keys):
    """The sequences that stand for the lengths of the data. Calls with them follow each other in a
    cycle.
    """

    calls: Annotated[int, About("number of calls in a cycle")]
    shortest: Annotated[int, About("number of steps of the shortest sequence")]
    longest: Annotated[int, About("number of steps of the longest sequence")]
    mean_length: Annotated[Number, About("mean number of steps of the sequences")]
    padding: Annotated[Number, About("fraction of all steps that were padding")]


class ForwardTiming(Timing):
    """Figures of one ``latency``: of a forward pass over whole sequences."""

    mixture: Annotated[NotRequired[Mixture], About("with lengths as in the data: its sequences")]


class TrainingTiming(Timing):
    """Figures of one ``training_step``: of an optimizer step, with forming its batches."""

    mixture: Annotated[NotRequired[Mixture], About("with unequal lengths: the batches of a cycle")]


class Rate(Keys):
    """Figures of one ``throughput`` or ``training_throughput``."""

    per_s: Annotated[Number, About("sequences per second, median of the processes")]
    low_per_s: Annotated[Number | None, About("lower bound of the 95 % interval")]
    high_per_s: Annotated[Number | None, About("upper bound of the 95 % interval")]
    n: Annotated[int, About("number of processes")]


class Cold(Keys, total=False):
    """Time to build a model, load its weights and call it once, median of the processes."""

    build_s: Annotated[Number, About("building the model, in seconds")]
    load_s: Annotated[Number, About("loading its weights, in seconds")]
    first_call_s: Annotated[Number, About("the first call, in seconds")]


class Memory(Keys):
    """Memory of a model in bytes, by use: :func:`seqbench.measure.memory.memory_figures`."""

    parameters: Annotated[int, About("parameters")]
    buffers: Annotated[int, About("buffers")]
    gradients: Annotated[NotRequired[int], About("gradients, in training")]
    optimizer: Annotated[NotRequired[int], About("state of the optimizer, in training")]
    activations: Annotated[NotRequired[int | None], About("working memory without the gradients")]
    working: Annotated[int, About("working memory: peak - baseline")]
    peaks: Annotated[list[int], About("working memory of each pass")]
    total: Annotated[int, About("parameters, buffers, optimizer and working memory")]
    low: Annotated[int, About("the smallest total of any pass")]
    high: Annotated[int, About("the largest total of any pass")]
    baseline: Annotated[NotRequired[int], About("before the pass")]
    peak: Annotated[NotRequired[int], About("maximum during the pass")]
    lower_bound: Annotated[bool, About("whether the true peak may be higher")]
    missing: Annotated[NotRequired[dict[str, str]], About("why a figure is null, by name")]
    reserved: Annotated[NotRequired[int], About("held by the allocator (CUDA)")]
    process: Annotated[
        NotRequired[int | None], About("of the whole process, from the driver (CUDA)")
    ]


class Macs(Keys):
    """Multiply-accumulates of one sequence."""

    macs: int


class Cost(Keys):
    """The cost of a model that does not depend on the machine."""

    parameters: int
    serialized_bytes: int


class Operator(Keys):
    """An operator of torch in one forward pass."""

    name: Annotated[str, About("name of the operator")]
    count: Annotated[int, About("number of calls")]


class Operators(Keys):
    """The operators of one forward pass."""

    ops: list[Operator]
    warnings: list[str]


@dataclass(frozen=True)
class Measurement:
    """One quantity of one case.

    Args:
        quantity: the name of one of :data:`.quantities.QUANTITIES`.
        unit: SI: ``s``, ``1/s``, ``B``, ``1``.
        settings: the settings it was measured with (``batch_size``, ``threads``, ``mode``, …).
        values: the figures, derived from the samples if there are any; their type is
            ``figures`` of the quantity.
        samples: file inside the run folder with all raw samples.
        method: how it was measured, in a few words.
    """

    quantity: str
    unit: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "ok"
    reason: str = ""
    samples: str = ""
    method: str = ""


Verdict = Literal[
    "better", "worse", "equivalent", "no difference", "too few seeds", "too few resamples"
]


@dataclass(frozen=True)
class Comparison:
    """A comparison of two cases in one quantity.

    Args:
        quantity, settings: as in the :class:`Measurement`; for seeds, the name of the metric.
        a, b: ids of the two cases.
        scale: ``"ratio"``: ``effect`` is a ÷ b; ``"difference"``: it is a - b.
        effect, low, high: the estimate and its 95 % interval (None if unavailable).
        p: two-sided, of the test that the interval is from; None if the two were not tested.
        verdict: what ``a`` is, compared with ``b``.
        n: number of independent figures of each (processes, seeds), or of resamples that both had.
        p_corrected: ``p`` corrected for the number of pairs (Holm); the verdict is from it.
        df: degrees of freedom of the t test, on the logarithm of a ratio.
        beats: probability that ``a`` is better than ``b`` at a new seed, if known.
        margin: differences up to this are irrelevant (the suite's ``margin``), on ``scale``: 0.005
            for half a point, 1.03 for a factor.
        p_equivalent: of the test for a difference within ``margin``, corrected for the number of
            pairs.
        needed: number of seeds or resamples that would probably show a difference, if known.
        met: the contest in which the two were timed, interleaved.
        over: ``"resamples"`` if they were compared over those, in pairs.
    """

    quantity: str
    a: str
    b: str
    scale: Literal["ratio", "difference"]
    effect: Number
    low: Number | None
    high: Number | None
    p: Number | None
    verdict: Verdict
    n: int
    p_corrected: Number | None = None
    df: Number | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    beats: Number | None = None
    margin: Number | None = None
    p_equivalent: Number | None = None
    needed: int | None = None
    met: str = ""
    over: Literal["", "resamples"] = ""


@dataclass(frozen=True)
class CaseRecord:
    """The measurements of one case.

    Args:
        jobs: where the measurements are from, in their order. For each job: ``key``,
            ``fingerprint`` (of everything that the figures depend on), ``n`` (number of its
            measurements), ``met`` (the contest in which they were timed, or ``""``).
    """

    case: str
    measurements: tuple[Measurement, ...] = ()
    jobs: tuple[MeasuredJob, ...] = ()
    format: int = FORMAT


def fingerprint(value: Any) -> str:
    """Hash plain data: ten hexadecimal digits, the same for equal data."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def worst(statuses: list[Status]) -> Status:
    """``ok`` if all are; else the first in ``STATUSES`` of those that are not."""
    bad = [status for status in STATUSES[1:] if status in statuses]
    return bad[0] if bad else "ok"
