"""``seqbench models``, ``datasets``, ``runtimes``, ``plugins`` … list what is available."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from seqbench.cli.terminal import console

if TYPE_CHECKING:
    from rich.text import Text

    from seqbench.plugins.registry import Offer, Plugin
    from seqbench.types import Param


@click.command()
def models() -> None:
    """List the models with their parameters, defaults and origin."""
    _print_kind("model")


@click.command()
def datasets() -> None:
    """List the datasets with their parameters, defaults and origin."""
    _print_kind("dataset")


@click.command()
def metrics() -> None:
    """List the metrics that a suite can use besides accuracy and mse."""
    _print_kind("metric")


@click.command()
def reports() -> None:
    """List the reports that a suite or `show --format` can name."""
    _print_kind("report")


@click.command(short_help="List the runtimes: ways to run a trained model.")
def runtimes() -> None:
    """List the runtimes that `measure.latency.runtimes` of a suite can name."""
    _print_kind("runtime")


@click.command()
def losses() -> None:
    """List the losses that `train.loss` of a suite can name."""
    _print_kind("loss")


@click.command()
def optimizers() -> None:
    """List the optimizers that `train.optimizer` of a suite can name."""
    _print_kind("optimizer")


@click.command()
def schedules() -> None:
    """List the learning rate schedules that `train.schedule` of a suite can name."""
    _print_kind("schedule")


@click.command()
@click.option(
    "--check", is_flag=True, help="Check whether this machine is suitable for benchmarking."
)
def devices(check: bool) -> None:
    """List the devices that a suite can name here."""
    if check:
        from seqbench.cli.doctor import diagnose

        diagnose()
        return
    from seqbench.devices.registry import available_devices, resolve_device

    try:
        found = available_devices()
    except (ImportError, OSError) as error:
        raise click.ClickException(f"torch does not work on this machine: {error}") from error
    auto = resolve_device("auto", found)
    for name, description in found.items():
        mark = "  (auto)" if name == auto else ""
        click.echo(f"{name:<8} {description}{mark}")


@click.command("plugins", short_help="List the installed plugin packages.")
def plugins() -> None:
    """List the installed plugin packages; for a broken one, the reason."""
    from rich.table import Table
    from rich.text import Text

    from seqbench.plugins.discovery import load_plugins
    from seqbench.suite.methods import with_own_methods
    from seqbench.suite.runtimes import with_own_runtimes

    registry = load_plugins()
    complete = with_own_methods(with_own_runtimes(registry))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in ("plugin", "from", "status", "offers"):
        table.add_column(header, overflow="fold")
    for plugin in registry.plugins:
        offers = [offer.spec.name for offer in plugin.offers]
        clashes = complete.clashes(plugin)
        status, style = ("broken", "red") if plugin.error else ("ok", "green")
        if plugin.disabled:
            status, style = "disabled", "dim"
        if clashes:
            status, style = "clash", "yellow"
        table.add_row(
            _plain(plugin.origin.entry_point),
            _plain(str(plugin.origin)),
            Text(status, style=style),
            _plain("\n".join([plugin.error or ", ".join(offers), *clashes])),
        )
    if registry.plugins:
        console().print(table)
    else:
        click.echo("no plugins found, not even the built-in ones: install seqbench with pip")
    for line in registry.unreadable:
        console().print(_plain(f"ignored, as its metadata is broken: {line}"), soft_wrap=True)


def _print_kind(kind: str) -> None:
    from seqbench.plugins.discovery import load_plugins
    from seqbench.suite.methods import with_own_methods
    from seqbench.suite.runtimes import with_own_runtimes

    registry = with_own_methods(with_own_runtimes(load_plugins()))
    _print_offers(registry.all_of(kind))
    _mention_broken(registry.plugins)


def _print_offers(offers: Sequence[Offer[Any]]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    for offer in offers:
        head = Text(offer.spec.name, style="bold")
        head.append(f"  {offer.origin}", style="dim")
        terminal.print(head)
        if offer.spec.description:
            terminal.print(Padding(_plain(offer.spec.description), (0, 0, 0, 2), expand=False))
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for unbroken in (True, True, False):
            table.add_column(no_wrap=unbroken, overflow="fold")
        for name, param in getattr(offer.spec, "parameters", {}).items():  # runtimes have none
            table.add_row(_plain(name), _plain(_value(param)), _plain(_remarks(param)))
        terminal.print(Padding(table, (0, 0, 1, 2), expand=False))


def _value(param: Param) -> str:
    """The default as written in a suite."""
    import json

    return param.default if isinstance(param.default, str) else json.dumps(param.default)


def _remarks(param: Param) -> str:
    limits = []
    if param.choices:
        limits.append("one of " + ", ".join(map(str, param.choices)))
    if param.minimum is not None:
        limits.append(f"at least {param.minimum:,}")
    if param.maximum is not None:
        limits.append(f"at most {param.maximum:,}")
    return "; ".join(part for part in (param.help, ", ".join(limits)) if part)


def _mention_broken(plugins: Sequence[Plugin]) -> None:
    for plugin in plugins:
        if plugin.error:
            name = f"{plugin.origin.entry_point} of {plugin.origin}"
            console(stderr=True).print(
                _plain(f"broken plugin {name}: {plugin.error}"), style="red", soft_wrap=True
            )


def _plain(text: str) -> Text:
    """Text from a plugin: no markup, no control characters."""
    from rich.text import Text

    from seqbench.report.text import clean

    return Text("\n".join(clean(line) for line in text.split("\n")))
