"""The keys of a run's JSON document, their types, and its JSON Schema.

``seqbench run --json``, ``seqbench show --format json`` and ``Run.document`` give a
:class:`Document`. Units are SI; ``null`` stands for a value that is not available. Readers must
accept keys that they do not know: a later version of seqbench may add some within format 1.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from typing_extensions import NotRequired

from seqbench.errors import StoreError
from seqbench.records import (
    About,
    Attempt,
    Cold,
    Keys,
    Memory,
    Metrics,
    Number,
    Operator,
    Rate,
    Status,
    Timing,
    Verdict,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Target(Keys):
    """The figure that the suite wants trainings to reach."""

    metric: Annotated[str, About("accuracy or mse")]
    value: Annotated[Number, About("its bound")]


class Steadiness(Keys):
    """How much the same computation varied."""

    median_s: Annotated[Number, About("median block, in seconds")]
    n: Annotated[int, About("number of blocks")]
    spread: Annotated[Number, About("interquartile range ÷ median")]
    slowest: Annotated[Number, About("slowest block ÷ median")]
    drift: Annotated[Number, About("last third ÷ first third, minus 1")]
    noise: Annotated[Number, About("the larger of half the spread and the size of the drift")]


class Finding(Keys):
    """One thing that was checked on the machine."""

    name: Annotated[str, About("what was checked")]
    value: Annotated[str, About("the result; for n/a why there is none")]
    level: Annotated[Literal["ok", "warn", "n/a"], About("ok, warn (may disturb) or n/a")]
    remedy: Annotated[str, About("what to do about it; for warn only")]


class Doctor(Keys):
    """How steady the machine was right before latency was measured."""

    findings: Annotated[list[Finding], About("one for each thing that was checked")]
    steadiness: Annotated[Steadiness, About("how much the same computation varied")]
    noise: Annotated[Number, About("its headline, a share")]
    seconds: Annotated[Number, About("how long the machine was watched")]


class Tf32(Keys):
    """Whether NVIDIA's shorter floating-point format is allowed."""

    matmul: Annotated[bool, About("in matrix products")]
    cudnn: Annotated[bool, About("in cuDNN")]


class Environment(Keys, total=False):
    """The machine and software that the figures belong to; empty where it is not known."""

    seqbench: Annotated[str, About("version of seqbench")]
    python: Annotated[str, About("version of Python")]
    torch: Annotated[str, About("version of torch")]
    torchvision: Annotated[str | None, About("version of torchvision")]
    numpy: Annotated[str | None, About("version of NumPy")]
    system: Annotated[str, About("operating system")]
    machine: Annotated[str, About("architecture")]
    cpu: Annotated[str, About("name of the CPU")]
    cores: Annotated[int, About("cores that seqbench may use")]
    load: Annotated[Number | None, About("load average of the last minute, before the run")]
    governor: Annotated[str | None, About("frequency governor")]
    memory_bytes: Annotated[int | None, About("memory of the machine")]
    cgroup_memory_max: Annotated[str | None, About("memory limit of the control group")]
    git: Annotated[str | None, About("commit of the working folder; + if it had changes")]
    tf32: Annotated[Tf32, About("whether TF32 is allowed")]
    onednn: Annotated[bool, About("whether torch has oneDNN")]
    devices: Annotated[dict[str, str], About("name of each device")]
    doctor: Annotated[Doctor, About("how steady the machine was before latency was measured")]
    disturbed: Annotated[bool, About("whether another run was timing at the same time")]


class Trial(Keys):
    """One case with one seed."""

    id: Annotated[str, About("case and seed")]
    case: Annotated[str, About("id of its case")]
    label: Annotated[str, About("what tables call the case")]
    model: Annotated[str, About("name of the model")]
    dataset: Annotated[str, About("name of the dataset")]
    dataset_label: Annotated[str, About("what tables call the dataset")]
    device: Annotated[str, About("where it was trained")]
    seed: Annotated[int, About("the seed")]
    status: Annotated[Status, About("how it ended")]
    reason: Annotated[str, About("why, if not ok")]
    metric: Annotated[str, About("accuracy (a share of 1) or mse; empty if it did not train")]
    metrics: Annotated[Metrics, About("how good the trained model is")]
    scores: Annotated[
        dict[str, Number | None], About("value of each of the suite's metrics, by its label")
    ]
    version: Annotated[str, About("of the model's package when it was trained")]
    seconds: Annotated[Number | None, About("wall time, under whatever load there was")]
    log: Annotated[str, About("its log, in the run's folder")]
    lines: Annotated[list[str], About("the last lines of the log, if it failed")]
    attempts: Annotated[list[Attempt], About("earlier attempts, which were lost or failed")]


class Interval(Keys):
    """A mean over seeds with its 95 % interval."""

    mean: Annotated[Number, About("mean over the successful seeds")]
    low: Annotated[Number | None, About("lower bound of the 95 % interval; null for one seed")]
    high: Annotated[Number | None, About("upper bound of the 95 % interval; null for one seed")]
    n: Annotated[int, About("number of successful seeds")]


class MetricSummary(Interval):
    """The task's own metric over the successful seeds."""

    name: Annotated[str, About("accuracy (a share of 1) or mse")]
    higher_is_better: Annotated[bool, About("the direction")]
    last: Annotated[Interval, About("the same at the last epoch")]
    at: Annotated[str, About("the epoch whose weights count")]


class ScoreSummary(Interval):
    """A metric from a plugin over the successful seeds."""

    higher_is_better: Annotated[bool, About("the direction")]
    share: Annotated[bool, About("whether it is a share of 1")]


class Unmeasured(Keys):
    """A measurement that failed, with its settings."""

    quantity: Annotated[str, About("what was to be measured")]
    status: Annotated[Status, About("how it ended")]
    reason: Annotated[str, About("why")]
    batch_size: Annotated[NotRequired[int], About("sequences at once")]
    length: Annotated[NotRequired[int], About("steps of a sequence")]
    threads: Annotated[NotRequired[int], About("threads of torch")]
    runtime: Annotated[NotRequired[str], About("how the model was run")]
    mode: Annotated[NotRequired[str], About("inference or training")]


class SeedSteps(Keys):
    """How soon one seed reached the target."""

    seed: Annotated[int, About("the seed")]
    steps: Annotated[int | None, About("its steps; null if it missed the target")]


class TargetSummary(Keys):
    """What a case needed to reach the suite's target."""

    seeds: Annotated[list[SeedSteps], About("one for each seed that counts")]
    reached: Annotated[int, About("how many seeds reached it")]
    of: Annotated[int, About("of how many")]
    steps: Annotated[Number | None, About("median; null where infinite, or there is a reason")]
    step_s: Annotated[Number | None, About("time of a training step with nothing else running")]
    seconds: Annotated[Number | None, About("steps × step_s")]
    reason: Annotated[str, About("why there are no steps")]
    seconds_reason: Annotated[str, About("why there are no seconds")]


class Settings(Keys):
    """What was timed."""

    batch_size: Annotated[int, About("sequences at once")]
    length: Annotated[NotRequired[int], About("steps of a sequence")]
    threads: Annotated[int, About("threads of torch")]
    runtime: Annotated[NotRequired[str], About("how the model was run: eager, compile")]


class Latency(Settings, Timing):
    """How long one call takes."""


class Throughput(Settings, Rate):
    """How many sequences each second."""


class MemorySummary(Keys):
    """Memory that a model needs at the dataset's own length."""

    inference_bytes: Annotated[int | None, About("in inference")]
    training_bytes: Annotated[int | None, About("in training")]
    spread_bytes: Annotated[int, About("how far the passes lie apart")]
    lower_bound: Annotated[bool, About("whether the true peak may be higher")]
    batch_size: Annotated[int, About("sequences at once")]
    breakdown: Annotated[dict[str, Memory], About("for inference and training, in bytes")]


class AtLength(Keys):
    """Cost and memory at one length."""

    length: Annotated[int, About("steps of a sequence")]
    macs: Annotated[int | None, About("multiply-accumulates of one sequence")]
    inference_bytes: Annotated[int | None, About("memory in inference")]
    inference_working_bytes: Annotated[int | None, About("working memory among it")]
    training_bytes: Annotated[int | None, About("memory in training")]
    training_working_bytes: Annotated[int | None, About("working memory among it")]


class LatencyExponent(Keys):
    """The power of the length that latency grows with, at one setting."""

    batch_size: Annotated[int, About("sequences at once")]
    threads: Annotated[int, About("threads of torch")]
    runtime: Annotated[str, About("how the model was run")]
    exponent: Annotated[Number, About("the power")]
    low: Annotated[Number | None, About("lower bound of the 95 % interval")]
    high: Annotated[Number | None, About("upper bound of the 95 % interval")]
    n: Annotated[int, About("number of processes")]


class Exponents(Keys):
    """The power of the length that each figure grows with; null where it is not known."""

    latency: Annotated[list[LatencyExponent], About("one for each setting")]
    macs: Annotated[Number | None, About("of the multiply-accumulates")]
    memory_inference: Annotated[Number | None, About("of the working memory in inference")]
    memory_training: Annotated[Number | None, About("of the working memory in training")]


class Case(Keys):
    """One model on one dataset with one training setting on one device."""

    id: Annotated[str, About("model and a hash of all that can change its figures")]
    label: Annotated[str, About("what tables call it")]
    model: Annotated[str, About("name of the model")]
    params: Annotated[dict[str, Any], About("all parameters of the model")]
    distribution: Annotated[str, About("package of the model")]
    version: Annotated[str, About("its version")]
    source: Annotated[str, About("fingerprint of its source")]
    edited: Annotated[list[int], About("seeds that were trained with another source")]
    dataset: Annotated[str, About("name of the dataset")]
    dataset_params: Annotated[dict[str, Any], About("all parameters of the dataset")]
    dataset_label: Annotated[str, About("what tables call the dataset")]
    train: Annotated[dict[str, Any], About("all training settings")]
    device: Annotated[str, About("where it was trained and measured")]
    note: Annotated[str, About("the suite's note")]
    reference: Annotated[dict[str, Number | None], About("figures published elsewhere")]
    status: Annotated[Status | None, About("the worst of its trials and measurements")]
    reason: Annotated[str, About("why, if not ok")]
    unmeasured: Annotated[list[Unmeasured], About("measurements that failed")]
    seeds: Annotated[dict[str, int], About("number of trials, by status")]
    metric: Annotated[MetricSummary | None, About("the task's own metric")]
    accuracy: Annotated[Interval | None, About("the same, if it is accuracy")]
    scores: Annotated[dict[str, ScoreSummary], About("the suite's metrics, by label")]
    target: Annotated[TargetSummary | None, About("steps to the suite's target")]
    length: Annotated[int | None, About("steps of the dataset's own sequences")]
    latency: Annotated[list[Latency], About("one for each setting")]
    step: Annotated[list[Latency], About("one step of a sequence, for models that can step")]
    training_step: Annotated[Timing | None, About("one training step, in suites with a target")]
    throughput: Annotated[list[Throughput], About("at the largest batch")]
    cold: Annotated[Cold | None, About("from nothing to the first answer")]
    memory: Annotated[MemorySummary | None, About("at the dataset's own length")]
    lengths: Annotated[list[AtLength], About("one for each length, the shortest first")]
    exponents: Annotated[Exponents, About("growth with the length")]
    parameters: Annotated[int | None, About("number of parameters")]
    serialized_bytes: Annotated[int | None, About("size of the file of weights")]
    macs: Annotated[int | None, About("multiply-accumulates of one sequence")]
    ops: Annotated[list[Operator], About("operators that one forward pass ran")]
    warnings: Annotated[list[str], About("what makes the model slower than it could be")]


class Comparison(Keys):
    """Two cases compared in one quantity (:class:`seqbench.records.Comparison`)."""

    quantity: Annotated[str, About("what they are compared in")]
    settings: Annotated[dict[str, Any], About("what it was measured at")]
    a: Annotated[str, About("id of the first case")]
    b: Annotated[str, About("id of the second case")]
    scale: Annotated[Literal["ratio", "difference"], About("ratio: a ÷ b; difference: a - b")]
    effect: Annotated[Number, About("the estimate")]
    low: Annotated[Number | None, About("lower bound of its own 95 % interval")]
    high: Annotated[Number | None, About("upper bound of its own 95 % interval")]
    p: Annotated[Number, About("two-sided, corrected for all pairs (Holm)")]
    verdict: Annotated[Verdict, About("how a does, compared with b")]
    n: Annotated[int, About("number of independent pairs: seeds or processes")]
    needed: Annotated[int | None, About("seeds that would probably show a difference")]
    met: Annotated[str, About("the contest in which latencies were compared")]


class Document(Keys):
    """A run of seqbench."""

    format: Annotated[int, About("version of the document: 1")]
    suite: Annotated[str, About("name of the suite")]
    file: Annotated[str | None, About("the suite's file")]
    run: Annotated[str, About("the run's folder")]
    status: Annotated[str, About("finished, running, interrupted, failed, killed or damaged")]
    started: Annotated[str | None, About("UTC time, ISO 8601")]
    seconds: Annotated[Number | None, About("wall time of all attempts together")]
    notes: Annotated[str, About("the suite's notes")]
    measure: Annotated[dict[str, Any], About("what the suite asks to measure")]
    target: Annotated[Target | None, About("the suite's target")]
    environment: Annotated[Environment, About("machine and software")]
    unplanned: Annotated[int, About("trials of an earlier plan, left out")]
    missing: Annotated[int, About("planned trials that have not ended")]
    trials: Annotated[list[Trial], About("in the order of the plan")]
    cases: Annotated[list[Case], About("in the order of the plan")]
    comparisons: Annotated[list[Comparison], About("pairs of cases")]


def document_schema() -> dict[str, Any]:
    """The JSON Schema of the document (draft 2020-12)."""
    from seqbench.store.validation import adapter

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
    """Checks that plain data is a document.

    Raises:
        StoreError: it is not; with the path of the first key that is wrong.
    """
    from pydantic import ValidationError

    from seqbench.store.validation import adapter, first_problem

    try:
        checked: Document = adapter(Document).validate_python(document, strict=True)
    except ValidationError as error:
        raise StoreError(f"not the document of a run: {first_problem(error)}") from None
    return checked
