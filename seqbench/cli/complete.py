"""Shell completion: names of suites, models, datasets and runs."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem


def suite(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from seqbench.suite.shipped import shipped_names

    # Files first: bash forgets what came before this item.
    return [CompletionItem(text, type="file"), *_matching(text, shipped_names())]


def model(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from seqbench.plugins.discovery import load_plugins

    return _matching(text, [offer.spec.name for offer in load_plugins().models])


def dataset(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from seqbench.plugins.discovery import load_plugins

    return _matching(text, [offer.spec.name for offer in load_plugins().datasets])


def report(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    from seqbench.plugins.discovery import load_plugins
    from seqbench.types import FORMATS

    return _matching(text, [*FORMATS, *(o.spec.name for o in load_plugins().all_of("report"))])


def offer(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """Everything that ``seqbench check`` can check."""
    from seqbench.plugins.discovery import load_plugins

    plugins = load_plugins().plugins
    return _matching(text, sorted(o.spec.name for plugin in plugins for o in plugin.offers))


def run(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """Runs by suite and name; by id once a part of it is typed."""
    from seqbench.store.find import short_ids

    runs = _runs(context)
    ids = list(short_ids(runs).values()) if text else []
    return _matching(text, [*(f"{path.parent.name}/{path.name}" for path in runs), *ids])


def run_suite(
    context: click.Context, parameter: click.Parameter, text: str
) -> list[CompletionItem]:
    """Suites that have runs."""
    return _matching(text, [path.parent.name for path in _runs(context)])


def cached(context: click.Context, parameter: click.Parameter, text: str) -> list[CompletionItem]:
    """What the cache holds."""
    from seqbench.training.cache import entries_of
    from seqbench.training.data import cache_dir

    return _matching(text, [entry.name for entry in entries_of(cache_dir())])


def _runs(context: click.Context) -> list[Path]:
    from seqbench.store.find import find_runs

    return find_runs(Path(context.params.get("out") or "results"))


def _matching(text: str, names: list[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.startswith(text)]
