"""Notes below the tables: what failed, and what the figures mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seqbench.plugins.loading import import_object
from seqbench.quantities import find, functions
from seqbench.records import Mixture
from seqbench.report import numbers
from seqbench.report.columns.column import Case, Column, Document
from seqbench.report.columns.speed import (
    latency_settings,
    measurement_settings,
    named_settings,
    setting_words,
)
from seqbench.report.columns.table import ResultTable
from seqbench.report.matching import match_lines
from seqbench.report.names import (
    averaged_over,
    by_gradient,
    case_name,
    dataset_label,
    is_estimator,
    resample_count,
    seeds_words,
    some,
    status_words,
    with_own_steps,
)
from seqbench.report.text import clean, counted, label, lines_of, settings, target_words
from seqbench.stats.holm import MOST_CASES
from seqbench.stats.timing import ENOUGH_FOR_P90, ENOUGH_FOR_P99
from seqbench.suite.optimizers import METHODS
from seqbench.summary.metric_pairs import families

MOST_FAILURES = 10

#: Statuses whose reason says only how the process ended; the last lines of its log are added.
UNEXPLAINED, MOST_LINES = ("crashed", "timeout"), 3

#: Headers of the columns of training steps.
TRAINING_HEADERS = ("train step", "train rate")

#: The parameters of optimizers that are shown even at their default, unless that is 0.
SHOWN_PARAMS = ("lr", "momentum", "weight_decay")


def failures(document: Document, table: ResultTable) -> list[str]:
    """One line for each failure, at most ten, then how many more there are. What cannot be measured
    of estimators comes last, since it is no failure.

    ``rnn seeds 0, 2: diverged: the loss became nan at step 312``
    """
    lines, fitted = [], dict[str, list[str]]()
    failed: dict[str, list[Mapping[str, Any]]] = {}
    for trial in document["trials"]:
        if trial["status"] != "ok":
            failed.setdefault(trial["case"], []).append(trial)
    several = len(table.cases) > 1
    shared = set.intersection(*(set(_unmeasured(case)) for case in table.cases)) if several else ()
    for case in table.cases:
        found = [f" {line}" for line in _failed_trials(failed.get(case["id"], ()))]
        name = case_name(case, document)
        for line in _unmeasured(case):
            if line in shared:
                continue
            if is_estimator(case):
                fitted.setdefault(line, []).append(name)
            else:
                found.append(f": {line}")
        lines += [name + line for line in found]
    lines += [f"{some(names)}: {line}" for line, names in fitted.items()]
    lines += [f"all: {line}" for line in _unmeasured(table.cases[0]) if line in shared]
    if len(lines) > MOST_FAILURES:
        lines[MOST_FAILURES:] = [f"… and {len(lines) - MOST_FAILURES} more"]
    return lines


def _unmeasured(case: Case) -> list[str]:
    """Quantities without a figure, with settings and reason; equal failures share a line."""
    found: dict[str, dict[str, list[str]]] = {}
    entries = case.get("unmeasured", ())
    timed = [measurement_settings(one) for one in entries if "threads" in one]
    named = named_settings([case], [*latency_settings([case]), *timed])
    for one in entries:
        why = f"{status_words(one['status'])}: {clean(one['reason'])}"
        places = found.setdefault(why, {}).setdefault(clean(one["quantity"]), [])
        if "threads" in one:
            places.append(setting_words(measurement_settings(one), named))
    lines = []
    for why, quantities in found.items():
        names = [f"{q} ({some(places)})" if places else q for q, places in quantities.items()]
        lines.append(f"measuring {', '.join(names)}: {why}")
    return lines


def _failed_trials(trials: Iterable[Mapping[str, Any]]) -> list[str]:
    """Seeds with the same failure share a line, followed by the last lines that one printed."""
    same: dict[str, list[Mapping[str, Any]]] = {}
    printed: dict[str, list[str]] = {}
    for trial in trials:
        reason = clean(trial["reason"])
        what = status_words(trial["status"]) + (f": {reason}" if reason else "")
        if trial.get("attempts"):
            what += f" (attempt {len(trial['attempts']) + 1})"
        same.setdefault(what, []).append(trial)
        if trial["status"] in UNEXPLAINED:
            printed[what] = [f"  | {clean(line)}" for line in trial.get("lines", ())[-MOST_LINES:]]
    return [
        "\n".join([f"{seeds_words(some)}: {what}", *printed.get(what, ())])
        for what, some in same.items()
    ]


def user_notes(document: Document) -> list[str]:
    """The notes of the suite, then those of its cases."""
    lines = lines_of(document.get("notes"))
    notes_by_label: dict[str, set[str]] = {}
    for case in document["cases"]:
        notes_by_label.setdefault(label(case), set()).add(clean(case.get("note") or ""))
    for case in document["cases"]:
        shared = len(notes_by_label[label(case)]) == 1
        if case.get("note"):
            lines.append(
                f"{label(case) if shared else case_name(case, document)}: {clean(case['note'])}"
            )
    return list(dict.fromkeys(lines))


def legend(columns: Sequence[Column], best: str, tied: str = "") -> list[str]:
    """What the marks mean, in one line; nothing if there are none.

    Args:
        columns: the columns shown.
        best: the mark of the best figures.
        tied: the mark of figures that are not distinguishable from the best.
    """
    parts = []
    if any(any(column.top) for column in columns):
        parts.append(f"{best}: best of its column" + _of_devices(columns))
    if tied and any(column.best != column.top for column in columns):
        parts.append(f"{tied}: may be as good")
    if any(text.endswith(numbers.DOUBTFUL) for column in columns for text in column.texts):
        parts.append(f"{numbers.DOUBTFUL}: 95 % interval wider than ±{100 * numbers.DOUBT:g} %")
    return [f"{'; '.join(parts)}."] if parts else []


def _of_devices(columns: Sequence[Column]) -> str:
    """A remark if a column has several best figures."""
    return " and device" if any(sum(column.top) > 1 for column in columns) else ""


def explanations(document: Document, columns: Sequence[Column]) -> list[str]:
    """How the figures were obtained and compared, and of what.

    Args:
        columns: the columns shown.
    """
    return [*methods(document, columns), *conditions(document)]


def methods(document: Document, columns: Sequence[Column]) -> list[str]:
    """How the figures of the columns shown were obtained and compared."""
    lines = _tests_line(columns)
    for name in functions("notes"):
        lines += import_object(name)(document, columns)
    return lines


def conditions(document: Document) -> list[str]:
    """The models, the training settings and the machine."""
    return [
        *match_lines(document),
        *_models_line(document),
        *_training_line(document),
        *own_steps_line(document),
        *_machine_line(document),
    ]


def _tests_line(columns: Iterable[Column]) -> list[str]:
    """The test used for each quantity that is compared in pairs."""
    compared = dict.fromkeys(c.compared[0] for c in columns if c.compared and c.letters)
    if not compared:
        return []
    names: dict[str, list[str]] = {}
    for name in compared:
        own = (c.test for c in columns if c.compared and c.letters and c.compared[0] == name)
        for test in dict.fromkeys(own):
            names.setdefault(test or find(name).test, []).append(clean(name))
    tests = "; ".join(f"{', '.join(quantities)}: {test}" for test, quantities in names.items())
    lines = [
        f"distinguishable: {tests}; p below 0.05 after correction for all pairs of a column, "
        "dataset and device (Holm)."
    ]
    for column in columns:
        if column.resolution and any(column.best):
            close = column.resolution / 2**20
            lines.append(
                f"{' '.join(column.header[:2])}: not distinguishable within {close:.1f} MiB."
            )
    return lines


def letters_line(columns: Iterable[Column]) -> list[str]:
    """What the letters of exports mean."""
    if not any(column.letters and any(column.letters) for column in columns):
        return []
    return [
        "a, b, …: cases that share a letter are not distinguishable or equivalent; a: the best."
    ]


def quality_notes(document: Document, columns: Sequence[Column]) -> list[str]:
    """What the metric is, where cases were too many to compare, and the steps to the target."""
    return [
        *_metric_line(document),
        *_resample_lines(document),
        *_too_many_lines(document),
        *_target_lines(document),
    ]


def _resample_lines(document: Document) -> list[str]:
    """For what other data intervals over resamples hold, and which resample was measured."""
    found: dict[str, list[str]] = {}
    for case in document["cases"]:
        resamples = case.get("resamples")
        if resamples:
            why = _overlap_words(resamples)
            dataset = clean(dataset_label(case))
            if dataset not in found.setdefault(why, []):
                found[why].append(dataset)
    lines = [f"resamples of {some(datasets)}: {why}." for why, datasets in found.items()]
    if any(c.get("resamples") and (c["latency"] or c["memory"]) for c in document["cases"]):
        lines.append("latency, memory and cost of pooled resamples: models of the first resample.")
    return lines


def _overlap_words(resamples: Mapping[str, Any]) -> str:
    if resamples["generated"]:
        return "generated again, so they are independent"
    if resamples["overlap"] is None:
        return (
            "they split the same sequences, in numbers that are unknown for trials of an older "
            "version: no interval or test holds for them"
        )
    return (
        "they split the same sequences, so intervals and tests are corrected for the overlap "
        f"(Nadeau and Bengio; {resamples['overlap']:.3g} test sequences for each other one)"
    )


def _too_many_lines(document: Document) -> list[str]:
    """Datasets with too many cases to compare."""
    lines = []
    for family in families(document["cases"]):
        metric = next((case["metric"]["name"] for case in family if case["metric"]), "")
        if metric and len(family) > MOST_CASES:
            place = case_name(family[0], document).removeprefix(label(family[0]))
            lines.append(
                f"{clean(metric)}{place}: {len(family)} cases are too many to compare in pairs "
                f"(at most {MOST_CASES})."
            )
    return lines


def _target_lines(document: Document) -> list[str]:
    """What the steps to the target are, and why some are missing."""
    target = document.get("target")
    if not target:
        return []
    words = target_words(target)
    lines = []
    missing: dict[str, list[str]] = {}
    for case in document["cases"]:
        found: Mapping[str, Any] = case.get("target") or {}
        for what, key in (("steps to target", "reason"), ("time to target", "seconds_reason")):
            if found.get(key) and (key == "reason" or not found["reason"]):
                missing.setdefault(f"{what}: n/a: {found[key]}", []).append(
                    case_name(case, document)
                )
    if any(not (case.get("target") or {"reason": "-"})["reason"] for case in document["cases"]):
        lines.append(
            f"steps to target: optimizer steps until validation {words}, checked at each "
            "evaluation; median over seeds, a miss counts as ∞."
        )
    return lines + [f"{why} ({some(names)})." for why, names in missing.items()]


def _metric_line(document: Document) -> list[str]:
    """What the figures of the metric are: mean and interval."""
    metrics = [case["metric"] for case in document["cases"] if case["metric"]]
    if not metrics:
        return []
    names = [clean(metric["name"]) for metric in metrics]
    own = [one for case in document["cases"] if (one := case.get("own_metric"))]
    names += [clean(one["name"]) for one in own]
    names += [clean(name) for case in document["cases"] for name in case.get("scores") or ()]
    named = ", ".join(dict.fromkeys(names))
    at = sorted({clean(metric["at"]) for metric in metrics if metric.get("at")})
    where = f" at the {' or '.join(at)}," if at else ""
    alone = "; one seed has none" if any(metric["n"] < 2 for metric in metrics) else ""
    over = averaged_over(document["cases"])
    return [f"test {named}: mean {over},{where} ± half-width of its 95 % t interval{alone}."]


def latency_notes(document: Document, columns: Sequence[Column]) -> list[str]:
    """How latency and throughput were measured."""
    entries = [entry for case in document["cases"] for entry in case["latency"]]
    if not entries:
        return []
    calls = _range(entry["n"] for entry in entries)
    processes = _range(entry["processes"] for entry in entries)
    processes += " process" if processes == "1" else " processes"
    threads = _range(entry["threads"] for entry in entries)
    threads += " thread" if threads == "1" else " threads"
    too_few = any(entry["p99_s"] is None and entry["n"] < ENOUGH_FOR_P99 for entry in entries)
    too_few &= any(column.header[0] in ("p90", "p99") for column in columns)
    needed = f"; p90 needs {ENOUGH_FOR_P90} calls, p99 {ENOUGH_FOR_P99}" if too_few else ""
    predict = any(is_estimator(case) for case in document["cases"] if case["latency"])
    what = "one forward pass (of an estimator, predict)" if predict else "one forward pass"
    return [
        f"latency: {what} on {threads}; median of the per-process medians ({processes}, "
        f"{calls} calls per figure); 95 % t interval on the logarithms of these medians"
        f"{needed}.",
        *_mixture_line(document),
        "throughput: sequences per second.",
    ]


def training_notes(document: Document, columns: Sequence[Column]) -> list[str]:
    """What a training step is, and of which batches it was measured."""
    entries = [entry for case in document["cases"] if (entry := case.get("training_step"))]
    if not entries or not any(column.header[0] in TRAINING_HEADERS for column in columns):
        return []
    calls, processes = ([entry[name] for entry in entries] for name in ("n", "processes"))
    found: dict[str, str] = {}
    several = len({dataset_label(case) for case in document["cases"]}) > 1
    for case in document["cases"]:
        entry = case.get("training_step")
        if entry and "mixture" in entry:
            on = f"{clean(dataset_label(case))}, " if several else ""
            found[f"{on}batch {entry['batch_size']}"] = _mixture_words(entry["mixture"])
    cycles = "; ".join(f"{at}: {words}" for at, words in found.items())
    mean = f"; with unequal lengths the mean over a cycle of steps ({cycles})" if cycles else ""
    return [
        "train step: forming the batch, forward and backward pass, optimizer; median of the "
        f"per-process medians ({_range(processes)} processes, {_range(calls)} steps per figure)"
        f"{mean}. train rate: sequences of a step ÷ its time."
    ]


def _mixture_line(document: Document) -> list[str]:
    """What sequences stand for those of the test split, for each dataset and batch size."""
    found: dict[str, str] = {}
    several = len({dataset_label(case) for case in document["cases"]}) > 1
    for case in document["cases"]:
        on = f"{clean(dataset_label(case))}, " if several else ""
        for entry in case["latency"]:
            if "mixture" in entry:
                found[f"{on}batch {entry['batch_size']}"] = _mixture_words(entry["mixture"])
    if not found:
        return []
    each = "; ".join(f"{at}: {words}" for at, words in found.items())
    pooled = any(map(resample_count, document["cases"]))
    first = "; of pooled resamples, the sequences are those of the first" if pooled else ""
    return [
        "latency as data: mean over a cycle of calls with test sequences of their own lengths; "
        "batches are in the order of the data, padded to their longest; a percentile is n/a if "
        f"less than one call of a cycle lies above it. {each}{first}."
    ]


def _mixture_words(mixture: Mixture) -> str:
    """``16 calls, 29 to 361 steps, mean 146.3``, and the share of padding if there is any."""
    padding = f", {100 * mixture['padding']:.0f} % padding" if mixture["padding"] else ""
    return (
        f"{counted(mixture['calls'], 'call')}, {_range([mixture['shortest'], mixture['longest']])} "
        f"steps, mean {mixture['mean_length']:.1f}{padding}"
    )


def memory_notes(document: Document, columns: Sequence[Column]) -> list[str]:
    """What the memory figures include."""
    found = [case["memory"] for case in document["cases"] if case["memory"]]
    if not found:
        return []
    sizes = [memory["batch_size"] for memory in found if memory.get("batch_size")]
    at = f" at batch {_range(sizes)}" if sizes else ""
    lower = any(memory.get("lower_bound") for memory in found)
    bound = " (a lower bound: the exact peak is not available on this system)" if lower else ""
    return [f"memory: peak of a forward pass and of a training step{at}, including weights{bound}."]


def _models_line(document: Document) -> list[str]:
    """The parameters that all models share, then those of each model."""
    params = {label(case): case["params"] for case in document["cases"]}
    names = dict.fromkeys(name for given in params.values() for name in given)
    shared = {}
    for name in names:
        values = [given[name] for given in params.values() if name in given]
        if len(values) == len(params) and all(value == values[0] for value in values):
            shared[name] = values[0]
    own = {
        who: settings(
            {n: value for n, value in given.items() if n not in shared and f" {n}=" not in who}
        )
        for who, given in params.items()
    }
    different = [f"{who}: {what}" for who, what in own.items() if what]
    parts = filter(None, [settings(shared), *different])
    return [f"models: {'; '.join(parts)}."] if params else []


def _training_line(document: Document) -> list[str]:
    """The training settings that all cases share, or those of each case, and what has none."""
    estimators = {label(case): None for case in document["cases"] if is_estimator(case)}
    fitted = [f"fitted, without training settings: {', '.join(estimators)}."] if estimators else []
    return [*fitted, *_settings_lines(document)]


def _settings_lines(document: Document) -> list[str]:
    cases = by_gradient(document["cases"])
    found = {training_words(case["train"]) for case in cases}
    if len(found) == 1:
        others = " other" if len(cases) < len(document["cases"]) else ""
        return [f"training: {found.pop()}; the same for all{others} cases."]
    if by_dataset := training_by_dataset(document):
        head = "training: settings differ between datasets; the same for all cases of one:"
        return [head, *(f"  {dataset}: {how}" for dataset, how in by_dataset.items())]
    words: dict[str, list[str]] = {}
    settings_of: dict[str, set[str]] = {}
    for case in cases:
        settings_of.setdefault(label(case), set()).add(training_words(case["train"]))
    for case in cases:
        alike = len(settings_of[label(case)]) == 1
        name = label(case) if alike else case_name(case, document)
        labels = words.setdefault(training_words(case["train"]), [])
        if name not in labels:
            labels.append(name)
    differ = ["training: settings differ, so cases differ in more than the model:"] if words else []
    return [*differ, *(f"  {', '.join(labels)}: {how}" for how, labels in words.items())]


def own_steps_line(document: Document) -> list[str]:
    """Which models computed the loss for their gradients themselves."""
    own = with_own_steps(document)
    if not own:
        return []
    return [
        f"trained with the model's own training_step: {some(own)}; "
        "its loss, not train.loss, gave the gradients."
    ]


def training_by_dataset(document: Document) -> dict[str, str]:
    """The training settings of each dataset; empty if its cases were not all trained alike."""
    found: dict[str, str] = {}
    for case in by_gradient(document["cases"]):
        how = training_words(case["train"])
        if found.setdefault(clean(dataset_label(case)), how) != how:
            return {}
    return found


def training_words(train: Mapping[str, Any]) -> str:
    """``4 epochs, batch 100, adam lr=0.004, cosine, gradients clipped to norm 1``."""
    if "batch_size" not in train:  # an estimator
        return "fitted, without training settings"
    parts = [_how_long(train), f"batch {train['batch_size']}"]
    if train.get("accumulate"):
        parts[-1] += f" × {train['accumulate']}"
    parts.append(_method_words(train["optimizer"], "optimizer"))
    if schedule := train.get("schedule"):
        parts.append(_method_words(schedule, "schedule"))
    for pattern, own in dict(train.get("groups", ())).items():  # pairs; of older runs a mapping
        parts.append(f"{clean(pattern)}: {settings(own)}")
    if loss := train.get("loss"):
        parts.append(f"loss {_method_words(loss, 'loss')}")
    if train.get("clip_norm"):
        parts.append(f"gradients clipped to norm {train['clip_norm']:g}")
    if train.get("ema"):
        parts.append(f"average of the weights with decay {train['ema']:g}")
    if train.get("precision", "fp32") != "fp32":
        parts.append(clean(train["precision"]))
    if train.get("drop_last"):
        parts.append("incomplete last batches left out")
    if train.get("carry_state"):
        parts.append("contiguous batches, state carried over")
    if not train.get("shuffle", True):
        parts.append("in the order of the dataset")
    if train.get("batches"):
        parts.append(
            {"one_length": "batches of one length", "shuffled": "batches of any lengths"}[
                train["batches"]
            ]
        )
    for key, what in (("init_seed", "initial weights"), ("data_seed", "order of the data")):
        if key in train:
            parts.append(f"the same {what} for all seeds ({key} {train[key]})")
    return ", ".join(parts)


def _method_words(choice: Mapping[str, Any], what: str) -> str:
    """``adam lr=0.004``; of a plugin ``lion lr=0.0001 (my-lion 1.0)``.

    Args:
        what: ``optimizer``, ``schedule`` or ``loss``.
    """
    given = choice.get("params") or {}
    told = {name: given[name] for name in given if name in _told(choice, what)}
    words = [clean(choice["name"]), settings(told)]
    if choice.get("distribution"):
        words.append(f"({clean(choice['distribution'])} {clean(choice['version'])})")
    if isinstance(given.get("others"), Mapping):
        words.append(f"and {_method_words(given['others'], what)} for all but hidden matrices")
    return " ".join(filter(None, words))


def _told(choice: Mapping[str, Any], what: str) -> list[str]:
    """The parameters that are named: usual ones that are not 0, those without a default, and those
    that differ from it; all of a plugin's.
    """
    params = choice.get("params") or {}
    kind = METHODS[what].get(choice["name"])
    if kind is None or choice.get("distribution"):
        return list(params)
    found = []
    for name, value in params.items():
        if isinstance(value, Mapping):
            continue
        default = kind.parameters[name].default if name in kind.parameters else None
        default = list(default) if isinstance(default, tuple) else default
        usual = name in SHOWN_PARAMS and value
        if usual or name in kind.required or value != default:
            found.append(name)
    return found


def _how_long(train: Mapping[str, Any]) -> str:
    """``4 epochs``, or ``1,000 steps, evaluated every 100``."""
    stopping = train.get("early_stopping")
    early = f", stopped after {stopping['patience']} without improvement" if stopping else ""
    if not train.get("steps"):
        return counted(train["epochs"], "epoch") + early
    every = f", evaluated every {train['evaluate_every']:,}" if train.get("evaluate_every") else ""
    return f"{train['steps']:,} steps{every}{early}"


def _machine_line(document: Document) -> list[str]:
    """The machine, the versions, and how long the run took."""
    environment = document["environment"] or {}
    parts = [clean(environment["cpu"])] if environment.get("cpu") else []
    cores = environment.get("cores")
    if cores:
        parts.append(counted(cores, "core"))
    for name in ("torch", "seqbench"):
        if environment.get(name):
            parts.append(f"{name} {clean(environment[name])}")
    if document["seconds"]:
        parts.append(f"run took {numbers.duration(document['seconds'])}")
    return [f"machine: {', '.join(parts)}."] if parts else []


def _range(values: Iterable[int]) -> str:
    """``3``, or ``286 to 4,914``."""
    found = sorted(set(values))
    if not found:
        return "0"
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
