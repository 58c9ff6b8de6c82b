"""The keys of a run's JSON document, their types, and its JSON Schema.

``seqbench run --json``, ``seqbench show --format json`` and ``Run.document`` return a
:class:`Document`. Units are SI; unavailable values are ``null``. Readers must accept unknown keys:
a later version of seqbench may add some within format 2.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any, Literal

from typing_extensions import NotRequired

from seqbench import records
from seqbench.docstrings import restore_docstrings
from seqbench.errors import StoreError
from seqbench.records import (
    About,
    Attempt,
    Cold,
    ForwardTiming,
    Keys,
    Length,
    Memory,
    MetricAbout,
    Metrics,
    Number,
    Operator,
    Rate,
    Status,
    Target,
    Timing,
    TrainingTiming,
    Verdict,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Describes the length of what was timed.
LENGTH = About("steps of a sequence; as_data: as many as each test sequence has")


class Steadiness(Keys):
    """How much a repeated computation varied."""

    median_s: Annotated[Number, About("median block, in seconds")]
    n: Annotated[int, About("number of blocks")]
    spread: Annotated[Number, About("interquartile range ÷ median")]
    slowest: Annotated[Number, About("slowest block ÷ median")]
    drift: Annotated[Number, About("last third ÷ first third, minus 1")]
    noise: Annotated[Number, About("the larger of half the spread and the size of the drift")]


class Finding(Keys):
    """The diagnosis of one property of the machine."""

    name: Annotated[str, About("the property")]
    value: Annotated[str, About("its state; for n/a why it is not available")]
    level: Annotated[Literal["ok", "warn", "n/a"], About("ok, warn (may disturb timing) or n/a")]
    remedy: Annotated[str, About("what to do; for warn only")]


class Doctor(Keys):
    """How steady the machine was just before latency was measured."""

    findings: Annotated[list[Finding], About("one per property")]
    steadiness: Annotated[Steadiness, About("how much a repeated computation varied")]
    noise: Annotated[Number, About("the summary figure, as a fraction")]
    seconds: Annotated[Number, About("how long the machine was observed")]


class Tf32(Keys):
    """Whether NVIDIA's TF32 format is allowed."""

    matmul: Annotated[bool, About("in matrix products")]
    cudnn: Annotated[bool, About("in cuDNN")]


class Environment(Keys, total=False):
    """The machine and software of the run; empty if unknown."""

    seqbench: Annotated[str, About("version of seqbench")]
    python: Annotated[str, About("version of Python")]
    torch: Annotated[str, About("version of torch")]
    torchvision: Annotated[str | None, About("version of torchvision")]
    numpy: Annotated[str | None, About("version of NumPy")]
    system: Annotated[str, About("operating system")]
    machine: Annotated[str, About("architecture")]
    cpu: Annotated[str, About("name of the CPU")]
    cpu_capability: Annotated[str, About("instructions that torch uses, for example AVX2")]
    cores: Annotated[int, About("CPU cores available to seqbench")]
    load: Annotated[Number | None, About("load average of the last minute, before the run")]
    governor: Annotated[str | None, About("frequency governor")]
    memory_bytes: Annotated[int | None, About("memory of the machine")]
    cgroup_memory_max: Annotated[str | None, About("memory limit of the control group")]
    allocator: Annotated[str | None, About("library that allocates memory; glibc if not replaced")]
    variables: Annotated[
        dict[str, str], About("environment variables that can change a figure, as workers see them")
    ]
    ignored_variables: Annotated[
        dict[str, str],
        About("environment variables that workers do not get, or not as they were"),
    ]
    git: Annotated[
        str | None,
        About("commit of the working folder; + if it had changes, ? if that is unknown"),
    ]
    tf32: Annotated[Tf32, About("whether TF32 is allowed")]
    onednn: Annotated[bool, About("whether torch has oneDNN")]
    devices: Annotated[dict[str, str], About("name of each device")]
    doctor: Annotated[Doctor, About("how steady the machine was just before timing")]
    disturbed: Annotated[bool, About("whether another run was timing at the same time")]


class Trial(Keys):
    """One case with one seed."""

    id: Annotated[str, About("case and seed")]
    case: Annotated[str, About("id of its case")]
    label: Annotated[str, About("its label in tables")]
    model: Annotated[str, About("name of the model")]
    dataset: Annotated[str, About("name of the dataset")]
    dataset_label: Annotated[str, About("label of the dataset in tables")]
    device: Annotated[str, About("where it was trained")]
    seed: Annotated[int, About("the seed")]
    resample: Annotated[NotRequired[Any], About("the dataset's seed, in a case of resamples")]
    status: Annotated[Status, About("how it ended")]
    reason: Annotated[str, About("why, if not ok")]
    metric: Annotated[
        str, About("the primary metric, such as accuracy or mse; empty if training failed")
    ]
    metric_about: Annotated[
        NotRequired[MetricAbout | None], About("if it is the metric of a plugin: how to show it")
    ]
    metrics: Annotated[Metrics, About("quality of the trained model")]
    scores: Annotated[
        dict[str, Number | None], About("value of each of the suite's metrics, by its label")
    ]
    score_sets: Annotated[
        NotRequired[dict[str, dict[str, Number]]],
        About("of several test sets, each metric's value on each set, by label and name"),
    ]
    version: Annotated[str, About("version of the model's package when it was trained")]
    initial: Annotated[str, About("hash of the initial weights; of an estimator, of its answers")]
    random: Annotated[bool, About("whether its answers are random in evaluation mode")]
    unchecked: Annotated[
        str, About("why its loaded weights cannot be compared with the trained model, if so")
    ]
    ahead_unknown: Annotated[
        NotRequired[str],
        About("why it could not be tested whether the model looks ahead, if the task is causal"),
    ]
    padding_changes: Annotated[
        NotRequired[Number],
        About(
            "how much an answer changes with padding, as a fraction of the largest answer; 0 if not"
        ),
    ]
    padding_unknown: Annotated[
        NotRequired[str],
        About("why it could not be tested whether answers change with padding, if batches have it"),
    ]
    seconds: Annotated[Number | None, About("wall time; depends on the load of the machine")]
    answers_reason: Annotated[
        NotRequired[str],
        About(
            "why its answers to the test split are not kept, if the suite's limit leaves them out"
        ),
    ]
    log: Annotated[str, About("its log, in the run's folder")]
    lines: Annotated[list[str], About("the last lines of the log, if it failed")]
    attempts: Annotated[list[Attempt], About("earlier attempts, which failed")]


class Interval(Keys):
    """A mean over seeds, or over pooled resamples, with its 95 % interval."""

    mean: Annotated[Number, About("mean over the successful seeds, or over the resamples' means")]
    low: Annotated[Number | None, About("lower bound of the 95 % interval; null for one seed")]
    high: Annotated[Number | None, About("upper bound of the 95 % interval; null for one seed")]
    n: Annotated[int, About("number of successful seeds, or of resamples")]


class MetricSummary(Interval):
    """The primary metric over the successful seeds."""

    name: Annotated[str, About("accuracy (a fraction), mse, or the label of a plugin's metric")]
    higher_is_better: Annotated[bool, About("the direction")]
    share: Annotated[NotRequired[bool], About("whether it is a fraction, shown in percent")]
    unit: Annotated[NotRequired[str], About("its unit; empty for a plain number")]
    last: Annotated[
        Interval | None, About("the same metric at the last epoch; null for an estimator")
    ]
    at: Annotated[str, About("the epoch whose weights count; empty for an estimator")]


class PrimaryMetric(MetricAbout):
    """The primary metric of a case, also if none of its trials succeeded."""

    name: Annotated[str, About("its label")]


class OwnMetricSummary(Interval):
    """The task's own metric over the successful seeds, beside another primary metric."""

    name: Annotated[str, About("accuracy (a fraction) or mse")]


class ScoreSummary(Interval):
    """A metric from a plugin over the successful seeds."""

    higher_is_better: Annotated[bool, About("the direction")]
    share: Annotated[bool, About("whether it is a fraction, shown in percent")]
    unit: Annotated[NotRequired[str], About("its unit; empty for a plain number")]


class PartFigure(Keys):
    """A metric on a part of the test split over the successful seeds, or over pooled resamples."""

    mean: Annotated[
        Number | None,
        About("mean over the successful seeds, or the resamples' means; null if one has none"),
    ]
    low: Annotated[Number | None, About("lower bound of the 95 % interval; null for one seed")]
    high: Annotated[Number | None, About("upper bound of the 95 % interval; null for one seed")]
    n: Annotated[int, About("number of successful seeds, or of resamples, with a figure")]
    reason: Annotated[str, About("why there is no mean, if so")]


class PartSummary(PartFigure):
    """The primary metric on one test set, or on the sequences of some lengths."""

    name: Annotated[str, About("of the test set; empty for a range of lengths")]
    shortest: Annotated[int, About("number of steps of its shortest sequence")]
    longest: Annotated[int, About("number of steps of its longest sequence")]
    sequences: Annotated[int, About("number of sequences; of all pooled resamples together")]
    headline: Annotated[
        bool | None, About("whether `metric` depends on it; null if that was not recorded")
    ]
    scores: Annotated[dict[str, PartFigure], About("the suite's metrics on the test set, by label")]


class Unmeasured(Keys):
    """A measurement that failed, with its settings."""

    quantity: Annotated[str, About("what was to be measured")]
    status: Annotated[Status, About("how it ended")]
    reason: Annotated[str, About("why")]
    batch_size: Annotated[NotRequired[int], About("sequences per call")]
    length: Annotated[NotRequired[Length], LENGTH]
    threads: Annotated[NotRequired[int], About("threads of torch")]
    runtime: Annotated[NotRequired[str], About("how the model was run")]
    mode: Annotated[NotRequired[str], About("inference or training")]


class SeedSteps(Keys):
    """How fast one seed reached the target."""

    seed: Annotated[int, About("the seed")]
    resample: Annotated[NotRequired[Any], About("the dataset's seed, in a case of resamples")]
    steps: Annotated[int | None, About("steps to the target; null if missed")]


class TargetSummary(Keys):
    """What a case needed to reach the suite's target."""

    seeds: Annotated[list[SeedSteps], About("one per seed that counts")]
    reached: Annotated[int, About("how many seeds reached it")]
    of: Annotated[int, About("of how many")]
    steps: Annotated[Number | None, About("median; null if infinite or unavailable")]
    step_s: Annotated[Number | None, About("time of a training step, nothing else running")]
    seconds: Annotated[Number | None, About("steps × step_s")]
    reason: Annotated[str, About("why steps is not available")]
    seconds_reason: Annotated[str, About("why seconds is not available")]


class Settings(Keys):
    """The settings that were timed."""

    batch_size: Annotated[int, About("sequences per call")]
    length: Annotated[NotRequired[Length], LENGTH]
    threads: Annotated[int, About("threads of torch")]
    runtime: Annotated[
        NotRequired[str], About("how the model was run, for example eager or compile")
    ]


class Latency(Settings, ForwardTiming):
    """How long one call takes."""


class Step(Settings, Timing):
    """How long one more step takes."""


class TrainingStep(Settings, TrainingTiming):
    """How long one training step takes."""


class Throughput(Settings, Rate):
    """Sequences per second."""


class MemorySummary(Keys):
    """Memory that a model needs at the dataset's own length."""

    inference_bytes: Annotated[int | None, About("in inference")]
    training_bytes: Annotated[int | None, About("in training")]
    spread_bytes: Annotated[int, About("range between passes")]
    lower_bound: Annotated[bool, About("whether the true peak may be higher")]
    batch_size: Annotated[int, About("sequences per call")]
    breakdown: Annotated[dict[str, Memory], About("for inference and training, in bytes")]


class AtLength(Keys):
    """Cost and memory at one length."""

    length: Annotated[int, About("steps of a sequence")]
    macs: Annotated[int | None, About("multiply-accumulates of one sequence")]
    inference_bytes: Annotated[int | None, About("memory in inference")]
    inference_working_bytes: Annotated[int | None, About("working memory included in it")]
    training_bytes: Annotated[int | None, About("memory in training")]
    training_working_bytes: Annotated[int | None, About("working memory included in it")]


class LatencyExponent(Keys):
    """The growth exponent of latency with length, at one setting."""

    batch_size: Annotated[int, About("sequences per call")]
    threads: Annotated[int, About("threads of torch")]
    runtime: Annotated[str, About("how the model was run")]
    exponent: Annotated[Number, About("the exponent")]
    low: Annotated[Number | None, About("lower bound of the 95 % interval")]
    high: Annotated[Number | None, About("upper bound of the 95 % interval")]
    n: Annotated[int, About("number of processes")]


class Exponents(Keys):
    """The growth exponent of each figure with length; null if unknown."""

    latency: Annotated[list[LatencyExponent], About("one per setting")]
    macs: Annotated[Number | None, About("of the multiply-accumulates")]
    memory_inference: Annotated[Number | None, About("of the working memory in inference")]
    memory_training: Annotated[Number | None, About("of the working memory in training")]


class ResamplesSummary(Keys):
    """How the resamples of a dataset were pooled as one case."""

    parameter: Annotated[str, About("parameter of the dataset that tells them apart")]
    values: Annotated[list[Any], About("its values")]
    cases: Annotated[list[str], About("id of the trials' case for each value")]
    generated: Annotated[bool, About("whether the resamples are independent")]
    overlap: Annotated[
        Number | None,
        About("test sequences ÷ others, by which intervals are wider; 0 if independent"),
    ]
    measured: Annotated[str | None, About("the case of which latency, memory and cost are")]
    unlike: Annotated[list[str], About("in which of length and sizes their data differ")]
    parts_reason: Annotated[str, About("why `parts` is empty although trials have parts")]


class Sized(Keys):
    """A width, and the quantity that was counted at it."""

    width: Annotated[int, About("the width")]
    value: Annotated[int, About("the quantity")]


class MatchSummary(Keys):
    """How near a model comes to the size that the suite's `match` asks for."""

    quantity: Annotated[str, About("parameters, macs or state_bytes")]
    wanted: Annotated[int, About("its value in the suite")]
    parameter: Annotated[str, About("the model's parameter that was solved")]
    width: Annotated[int | None, About("the width found; null if there is none")]
    value: Annotated[int | None, About("the quantity that was counted at the width")]
    deviation: Annotated[Number | None, About("value ÷ wanted, minus 1")]
    below: Annotated[Sized | None, About("the nearest of the widths tried that are not too large")]
    above: Annotated[Sized | None, About("the nearest of the widths tried that are not too small")]
    reason: Annotated[str, About("why there is no width, if so")]
    remark: Annotated[str, About("what limits the result, if anything")]


class Case(Keys):
    """One model on one dataset with one training setting on one device."""

    id: Annotated[str, About("model and a hash of everything that can change its figures")]
    label: Annotated[str, About("its label in tables")]
    model: Annotated[str, About("name of the model")]
    model_kind: Annotated[NotRequired[str], About("encoder, model or estimator")]
    params: Annotated[dict[str, Any], About("all parameters of the model")]
    distribution: Annotated[str, About("package of the model")]
    version: Annotated[str, About("its version")]
    source: Annotated[str, About("fingerprint of its source")]
    edited: Annotated[list[int], About("seeds that were trained with another source")]
    dataset: Annotated[str, About("name of the dataset")]
    dataset_params: Annotated[dict[str, Any], About("all parameters of the dataset")]
    dataset_label: Annotated[str, About("label of the dataset in tables")]
    train: Annotated[dict[str, Any], About("all training settings")]
    device: Annotated[str, About("where it was trained and measured")]
    note: Annotated[str, About("the suite's note")]
    reference: Annotated[dict[str, Number | None], About("published figures")]
    status: Annotated[Status | None, About("the worst of its trials and measurements")]
    reason: Annotated[str, About("why, if not ok")]
    unmeasured: Annotated[list[Unmeasured], About("measurements that failed")]
    seeds: Annotated[dict[str, int], About("number of trials, by status")]
    metric: Annotated[MetricSummary | None, About("the primary metric")]
    accuracy: Annotated[Interval | None, About("the accuracy; null if targets are numbers")]
    primary_metric: Annotated[
        NotRequired[PrimaryMetric], About("what metric is, unless it is the task's own")
    ]
    own_metric: Annotated[
        NotRequired[OwnMetricSummary | None],
        About("the task's own metric, if another one is primary"),
    ]
    scores: Annotated[dict[str, ScoreSummary], About("the suite's metrics, by label")]
    parts: Annotated[
        list[PartSummary], About("one per test set, or range of lengths, if there are several")
    ]
    resamples: Annotated[
        NotRequired[ResamplesSummary], About("if it pools the resamples of a dataset")
    ]
    match: Annotated[NotRequired[MatchSummary], About("if its width was solved for a size")]
    target: Annotated[TargetSummary | None, About("steps to the suite's target")]
    length: Annotated[int | None, About("steps of the dataset's own sequences")]
    latency: Annotated[list[Latency], About("one per setting")]
    step: Annotated[list[Step], About("one step of a sequence, for models with a step method")]
    training_step: Annotated[
        TrainingStep | None, About("one training step, if requested, or with a target")
    ]
    training_throughput: Annotated[
        Throughput | None, About("sequences of a training step ÷ its time")
    ]
    throughput: Annotated[list[Throughput], About("at the largest batch")]
    cold: Annotated[Cold | None, About("cold start: building, loading, first call")]
    memory: Annotated[MemorySummary | None, About("at the dataset's own length")]
    lengths: Annotated[list[AtLength], About("one per length, shortest first")]
    exponents: Annotated[Exponents, About("growth with length")]
    parameters: Annotated[int | None, About("number of parameters")]
    serialized_bytes: Annotated[int | None, About("size of the weights file")]
    macs: Annotated[int | None, About("multiply-accumulates of one sequence")]
    ops: Annotated[list[Operator], About("operators of one forward pass")]
    warnings: Annotated[list[str], About("why the model is slower than necessary")]


class Comparison(Keys):
    """Two cases compared in one quantity (:class:`seqbench.records.Comparison`)."""

    quantity: Annotated[str, About("the quantity, or metric")]
    settings: Annotated[dict[str, Any], About("the settings it was measured at")]
    a: Annotated[str, About("id of the first case")]
    b: Annotated[str, About("id of the second case")]
    scale: Annotated[Literal["ratio", "difference"], About("ratio: a ÷ b; difference: a - b")]
    effect: Annotated[Number, About("the estimate")]
    low: Annotated[Number | None, About("lower bound of its 95 % interval")]
    high: Annotated[Number | None, About("upper bound of its 95 % interval")]
    p: Annotated[Number | None, About("two-sided, of the test that the interval is from")]
    p_corrected: Annotated[Number | None, About("p corrected for all pairs (Holm)")]
    df: Annotated[Number | None, About("degrees of freedom, on the logarithm of a ratio")]
    verdict: Annotated[Verdict, About("a compared with b")]
    n: Annotated[int, About("number of independent figures of each: seeds, resamples, processes")]
    beats: Annotated[Number | None, About("probability that a is better than b at a new seed")]
    margin: Annotated[Number | None, About("differences up to this are irrelevant, on the scale")]
    p_equivalent: Annotated[
        Number | None, About("of the test for a difference within the margin, corrected (Holm)")
    ]
    needed: Annotated[
        int | None, About("estimated number of seeds or resamples to show a difference")
    ]
    over: Annotated[
        NotRequired[str], About("resamples if compared over those, in pairs; otherwise empty")
    ]
    met: Annotated[str, About("the contest in which latencies were compared")]


class Document(Keys):
    """A run of seqbench."""

    format: Annotated[int, About("version of the document: 2")]
    suite: Annotated[str, About("name of the suite")]
    file: Annotated[str | None, About("the suite's file; empty if it was given as a dictionary")]
    run: Annotated[str, About("the run's folder")]
    status: Annotated[str, About("finished, running, interrupted, failed, killed or damaged")]
    started: Annotated[str | None, About("UTC time, ISO 8601")]
    seconds: Annotated[Number | None, About("wall time of all attempts together")]
    notes: Annotated[str, About("the suite's notes")]
    measure: Annotated[dict[str, Any], About("the suite's measure settings")]
    target: Annotated[Target | None, About("the suite's target")]
    environment: Annotated[Environment, About("machine and software")]
    unplanned: Annotated[int, About("trials of an earlier plan, omitted")]
    missing: Annotated[int, About("planned trials that have not ended")]
    trials: Annotated[list[Trial], About("in the order of the plan")]
    cases: Annotated[list[Case], About("in the order of the plan")]
    comparisons: Annotated[list[Comparison], About("pairs of cases")]


def document_schema() -> dict[str, Any]:
    """The JSON Schema of the document (draft 2020-12)."""
    from seqbench.store.validation import adapter

    for module in (records, sys.modules[__name__]):
        restore_docstrings(module)
    schema: dict[str, Any] = _without_markup(adapter(Document).json_schema())
    return {"$schema": DIALECT, **schema}


def _without_markup(value: Any) -> Any:
    """A schema whose descriptions, which come from docstrings, have no reStructuredText in them."""
    if isinstance(value, dict):
        return {key: _without_markup(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_markup(item) for item in value]
    if isinstance(value, str):
        return re.sub(r":\w+:`[~.]*([^`]*)`", r"\1", value).replace("``", "`")
    return value


def check_document(document: object) -> Document:
    """Validate plain data as a document.

    Raises:
        StoreError: it is not valid; the text has the path of the first invalid key.
    """
    from pydantic import ValidationError

    from seqbench.store.validation import adapter, first_problem

    try:
        checked: Document = adapter(Document).validate_python(document, strict=True)
    except ValidationError as error:
        raise StoreError(f"not a valid document of a run: {first_problem(error)}") from None
    return checked
