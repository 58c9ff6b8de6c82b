"""How a run was made and measured, as a paragraph for a paper, with its citation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqbench.quantities import find
from seqbench.records import AS_DATA
from seqbench.report.columns.column import Case, Document
from seqbench.report.columns.training import training_requested
from seqbench.report.matching import match_sentences, models_named
from seqbench.report.names import (
    by_gradient,
    dataset_label,
    dataset_words,
    is_estimator,
    repeats_of,
    resample_count,
    unit_of,
)
from seqbench.report.notes import own_steps_line, training_by_dataset, training_words
from seqbench.report.parts import headline_words
from seqbench.report.text import clean, counted
from seqbench.report.verdict.statement import listed
from seqbench.stats.timing import INDIFFERENCE

#: More models are not named.
MOST_MODELS = 12

REPOSITORY = "https://github.com/seqbench/seqbench"


def methods(document: Document) -> str:
    """The paragraph: only what holds for this run, in the past tense of a methods section."""
    return " ".join(_sentences(document))


def citation(document: Document) -> str:
    """A BibTeX entry for the version of seqbench that made the run."""
    version = clean(document["environment"].get("seqbench") or "")
    fields = {"author": "{The seqbench authors}", "title": "seqbench", "version": version,
              "url": REPOSITORY}  # fmt: skip
    lines = [f"  {name} = {{{text}}}" for name, text in fields.items() if text]
    return "@software{seqbench,\n" + ",\n".join(lines) + "\n}"


def _sentences(document: Document) -> Iterator[str]:
    version = clean(document["environment"].get("seqbench") or "")
    yield f"{_what(document)} benchmarked with seqbench{f' {version}' if version else ''}."
    yield from match_sentences(document)
    yield from _training(document)
    yield from _quality(document)
    yield from _latency(document)
    yield from _training_steps(document)
    if any(find(each["quantity"]).compared == "rounds" for each in document["comparisons"]):
        what = "Timings" if training_requested(document) else "Latencies"
        yield (
            f"{what} were compared by the ratio of their medians in the rounds that both took part "
            f"in, against a difference of {100 * INDIFFERENCE:g} %, with Holm's correction."
        )
    batches = sorted({case["memory"]["batch_size"] for case in document["cases"] if case["memory"]})
    if batches:
        sizes = listed([str(n) for n in batches])
        yield (
            f"Memory, at batch size {sizes}, is that of parameters and buffers (in training, of "
            "the optimizer too) plus the rise to the peak during a pass."
        )
    yield from _machine(document["environment"])


def _what(document: Document) -> str:
    """``4 models (gru, lstm, …) on fashion_mnist (view=rows) were``."""
    cases = document["cases"]
    labels = models_named(cases)
    models = counted(len(labels), "model")
    named = f" ({', '.join(labels)})" if len(labels) <= MOST_MODELS else ""
    words = dict.fromkeys(dataset_words(case) for case in cases)
    datasets = [name + (f" ({about})" if about else "") for name, about in words]
    verb = "was" if len(labels) == 1 else "were"
    return f"{models[0].upper()}{models[1:]}{named} on {listed(datasets)} {verb}"


def _training(document: Document) -> Iterator[str]:
    cases, trials = document["cases"], document["trials"]
    counts = sorted({sum(case["seeds"].values()) for case in cases})
    repeats = {dataset_words(case)[0]: repeats_of(case) for case in cases}
    if any(map(resample_count, cases)) and counts[-1]:
        each = [f"{words} on {dataset}" for dataset, words in repeats.items()]
        yield (
            f"Each was trained with {repeats_of(cases[0])}."
            if len(set(repeats.values())) == 1
            else f"Each was trained with {listed(each)}."
        )
    elif len(counts) == 1 and counts[0]:
        yield f"Each was trained with {counted(counts[0], 'seed')}."
    elif counts and counts[-1]:
        yield f"Each was trained with {counts[0]} to {counts[-1]} seeds."
    failed = sum(trial["status"] != "ok" for trial in trials)
    if failed:
        yield f"Of {counted(len(trials), 'training')}, {failed} failed."
    words = {training_words(case["train"]) for case in by_gradient(cases)}
    if len(words) == 1:
        yield f"Training: {words.pop()}, the same for all."
    elif by_dataset := training_by_dataset(document):
        each = [f"on {dataset}, {how}" for dataset, how in by_dataset.items()]
        yield f"Training: {'; '.join(each)}; the same for all models on one dataset."
    elif words:
        yield "Training settings differ between the models."
    yield from (line[0].upper() + line[1:] for line in own_steps_line(document))
    if fitted := models_named([case for case in cases if is_estimator(case)]):
        verb = "is an estimator" if len(fitted) == 1 else "are estimators"
        yield f"{listed(fitted)} {verb}, fitted to the training split without such settings."
    at = {_chosen(case) for case in by_gradient(cases) if case["metric"]}
    if len(at) == 1:
        yield f"The weights of the {clean(at.pop())} count."


def _chosen(case: Case) -> str:
    """The epoch whose weights count: ``best epoch by validation macro_f1``."""
    assert case["metric"]
    at, primary = case["metric"]["at"], case.get("primary_metric")
    return f"{at} {primary['name']}" if primary and at.endswith("by validation") else at


def _quality(document: Document) -> Iterator[str]:
    found = [case["metric"] for case in document["cases"] if case["metric"]]
    names = list(dict.fromkeys(clean(metric["name"]) for metric in found))
    if not names:
        return
    figures = f"{listed(names)} on the test split"
    if any(metric["n"] > 1 for metric in found):
        over = listed(list(dict.fromkeys(f"{unit_of(case)}s" for case in document["cases"])))
        yield f"Reported is the mean {figures} with its 95 % interval over {over} (Student's t)."
        yield from _overlap(document)
    else:
        yield f"Reported is the {figures}."
    by_dataset: dict[str, list[Case]] = {}
    for case in document["cases"]:
        by_dataset.setdefault(clean(dataset_label(case)), []).append(case)
    for dataset, cases in by_dataset.items():
        if words := headline_words(cases):
            yield f"For {dataset}, that is the {words}."
    tests = [e for e in document["comparisons"] if find(e["quantity"]).compared == "seeds"]
    every = [each for each in tests if each["p"] is not None]
    if any(each.get("over") for each in every):
        yield (
            "Pairs of models were compared by a paired t test of their means on the same "
            f"resamples{_LOGS if any(e['scale'] == 'ratio' for e in every) else ''}, in which a "
            "variance counts as at least the two-thirds quantile of the variances of all pairs, "
            "with Holm's correction for all pairs at a level of 5 %."
        )
    tests = [each for each in every if not each.get("over")]
    if tests:
        logs = any(each["scale"] == "ratio" for each in tests)
        yield (
            f"Pairs of models were compared by Welch's t test over seeds{_LOGS if logs else ''}, "
            "in which a variance counts as at least the two-thirds quantile of all variances, "
            "with Holm's correction for all pairs at a level of 5 %."
        )


def _overlap(document: Document) -> Iterator[str]:
    """That intervals and tests over resamples are corrected, if they are."""
    found = [case["resamples"] for case in document["cases"] if "resamples" in case]
    if any(each["overlap"] for each in found):
        yield (
            "Resamples split the same sequences; their variance is corrected after Nadeau and "
            "Bengio (2003)."
        )


_LOGS = " (of the logarithms of errors)"


def _latency(document: Document) -> Iterator[str]:
    entries: list[Mapping[str, Any]] = [
        entry for case in document["cases"] for entry in case["latency"]
    ]
    if not entries:
        return
    lengths = {entry.get("length") for entry in entries} - {None}
    settings = {
        "batch size": {entry["batch_size"] for entry in entries},
        "length": lengths - {AS_DATA},
        "threads": {entry["threads"] for entry in entries},
        "runtime": {clean(entry.get("runtime", "eager")) for entry in entries},
    }
    at = [f"{name} {listed([str(v) for v in sorted(v)])}" for name, v in settings.items() if v]
    if AS_DATA in lengths:
        at.append("lengths as in the test split: the mean over a cycle of calls")
    processes = sorted({entry["processes"] for entry in entries})
    span = f"{processes[0]}" if len(processes) == 1 else f"{processes[0]} to {processes[-1]}"
    yield (
        f"Latency was timed after all training, in {span} processes per model and in short blocks "
        "that alternate between the models in random order; reported is the median over processes, "
        f"with a 95 % interval ({'; '.join(at)})."
    )


def _training_steps(document: Document) -> Iterator[str]:
    entries = [entry for case in document["cases"] if (entry := case.get("training_step"))]
    if not entries or not training_requested(document):
        return
    sizes = listed([str(size) for size in sorted({entry["batch_size"] for entry in entries})])
    several = any("mixture" in entry for entry in entries)
    mean = ", as the mean over a cycle of steps where lengths are unequal" if several else ""
    yield (
        f"Training steps of {sizes} sequences, with forming their batches, were timed in the same "
        f"way, starting from the trained weights{mean}."
    )


def _machine(environment: Mapping[str, Any]) -> Iterator[str]:
    devices = dict.fromkeys(clean(name) for name in (environment.get("devices") or {}).values())
    parts = list(devices) or ([clean(environment["cpu"])] if environment.get("cpu") else [])
    cores = environment.get("cores")
    if cores:
        parts.append(counted(cores, "core"))
    versions = [
        f"{title} {clean(environment[key])}"
        for key, title in (("torch", "PyTorch"), ("python", "Python"))
        if environment.get(key)
    ]
    if environment.get("system"):
        versions.append(clean(environment["system"]))
    if parts or versions:
        yield f"Everything ran on {', '.join([*parts, *versions])}."
