"""How a run was made and measured, as a paragraph for a paper, with its citation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqbench.quantities import find
from seqbench.report.columns.column import Document
from seqbench.report.notes import training_words
from seqbench.report.text import clean, counted, label, settings
from seqbench.report.verdict.statement import listed

#: More models are not named.
MOST_MODELS = 12

REPOSITORY = "https://github.com/seqbench/seqbench"


def methods(document: Document) -> str:
    """The paragraph: only what holds for this run, in the past tense of a methods section."""
    return " ".join(_sentences(document))


def citation(document: Document) -> str:
    """A BibTeX entry for the version of seqbench that made the run."""
    version = clean(document["environment"].get("seqbench") or "")
    year = (document["started"] or "")[:4]
    fields = {
        "title": "{seqbench}: accuracy, latency and memory of the same trained sequence models",
        "author": "{The seqbench authors}",
        "version": version,
        "year": year,
        "url": REPOSITORY,
    }
    lines = [f"  {name} = {{{text}}}" for name, text in fields.items() if text]
    return "@software{seqbench,\n" + ",\n".join(lines) + "\n}"


def _sentences(document: Document) -> Iterator[str]:
    environment = document["environment"]
    cases = document["cases"]
    version = clean(environment.get("seqbench") or "")
    yield f"{_what(document)} were compared with seqbench{f' {version}' if version else ''}."
    yield from _training(document)
    yield from _quality(document)
    yield from _latency(document)
    batches = sorted({case["memory"]["batch_size"] for case in cases if case["memory"]})
    if batches:
        yield (
            "Memory is that of the weights and of the peak of one pass over a batch of "
            f"{listed([str(n) for n in batches])}."
        )
    yield from _machine(environment)


def _what(document: Document) -> str:
    cases = document["cases"]
    labels = list(dict.fromkeys(label(case) for case in cases))
    models = counted(len(labels), "model")
    named = f" ({', '.join(labels)})" if len(labels) <= MOST_MODELS else ""
    datasets = dict.fromkeys(
        clean(case.get("dataset_label") or case["dataset"])
        + (f" ({params})" if (params := settings(case["dataset_params"])) else "")
        for case in cases
    )
    return f"{models[0].upper()}{models[1:]}{named} on {listed(list(datasets))}"


def _training(document: Document) -> Iterator[str]:
    cases = document["cases"]
    seeds = sorted({trial["seed"] for trial in document["trials"]})
    words = {training_words(case["train"]) for case in cases}
    if len(seeds) > 1:
        run = seeds == list(range(seeds[0], seeds[-1] + 1))
        named = f"{seeds[0]} to {seeds[-1]}" if run else ", ".join(map(str, seeds))
        yield f"Each was trained with {len(seeds)} seeds ({named})."
    elif seeds:
        yield f"Each was trained once (seed {seeds[0]})."
    if len(words) == 1:
        yield f"All were trained alike: {words.pop()}."
    elif words:
        yield "Training settings differ between the models."
    at = {case["metric"]["at"] for case in cases if case["metric"]}
    if at == {"best epoch by validation"}:
        yield "The weights of the best epoch by validation count."
    elif at == {"last epoch"}:
        yield "The weights of the last epoch count."


def _quality(document: Document) -> Iterator[str]:
    found = [case["metric"] for case in document["cases"] if case["metric"]]
    names = list(dict.fromkeys(clean(metric["name"]) for metric in found))
    if not names:
        return
    figures = f"{listed(names)} on the test split"
    if any(metric["n"] > 1 for metric in found):
        yield f"Reported is the mean {figures} with its 95 % interval over seeds (Student's t)."
    else:
        yield f"Reported is the {figures}."
    tests = [each for each in document["comparisons"] if find(each["quantity"]).compared == "seeds"]
    if any(each["p"] is not None for each in tests):
        yield (
            "Pairs of models were compared by Welch's t test over seeds, in which a variance "
            "counts as at least the two-thirds quantile of all variances, with Holm's correction "
            "for all pairs at a level of 5 %."
        )


def _latency(document: Document) -> Iterator[str]:
    entries: list[Mapping[str, Any]] = [
        entry for case in document["cases"] for entry in case["latency"]
    ]
    if not entries:
        return
    batches = [str(n) for n in sorted({entry["batch_size"] for entry in entries})]
    threads = [str(n) for n in sorted({entry["threads"] for entry in entries})]
    processes = sorted({entry["processes"] for entry in entries})
    span = f"{processes[0]}" if len(processes) == 1 else f"{processes[0]} to {processes[-1]}"
    yield (
        f"Latency is the median over {span} processes of their median call, timed after all "
        f"training, in short blocks that alternate between the models in random order; batch size "
        f"{listed(batches)}, "
        f"{listed(threads)} thread{'' if threads == ['1'] else 's'}."
    )
    if any(find(each["quantity"]).compared == "rounds" for each in document["comparisons"]):
        yield "Latencies were compared by the ratio of medians in rounds that both took part in."


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
