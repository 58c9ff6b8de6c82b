"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seqbench.cli import complete
from seqbench.errors import UsageError

if TYPE_CHECKING:
    from seqbench.suite.selection import Selection

Command = TypeVar("Command", bound=Callable[..., Any])


class Place(click.Path):
    """A file or folder to use; ``~`` is expanded, as a shell does not do in ``--out=~/results``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See :class:`click.ParamType`. Raises UsageError."""
        from seqbench.store.places import expanded

        named = param.opts[0] if param else "path"
        if param and param.envvar and value == os.environ.get(str(param.envvar)):
            named = str(param.envvar)
        return super().convert(expanded(value, named), param, ctx)


FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _suite_file(context: click.Context, parameter: click.Parameter, given: str | None) -> Any:
    """The file of the suite, given as a path or as the name of a shipped suite."""
    from seqbench.suite.shipped import find_suite, shipped_names

    if given is None:
        return None
    path = find_suite(given)
    if path.stem in shipped_names() and not path.exists():
        raise UsageError(f"no file {given!r} here; `seqbench run {path.stem}` runs that suite")
    return FILE.convert(path, parameter, context)


def suite_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """The argument SUITE: the path of a file or the name of a shipped suite."""
    return click.argument(
        "suite", required=required, callback=_suite_file, shell_complete=complete.suite
    )


SUITE = suite_argument()

OUT = click.option(
    "--out",
    type=Place(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder of all runs.",
)

DATA_DIR = click.option(
    "--data-dir",
    type=Place(path_type=Path, file_okay=False, exists=True),
    envvar="SEQBENCH_DATA",
    show_envvar=True,
    help="Folder that already has the datasets.",
)


def device_here(name: str) -> str:
    """The full name of a device of this machine. Imports torch, except for the CPU.

    Raises:
        UsageError: the name is unknown, or this machine has no such device.
    """
    from seqbench.devices import registry

    if name != registry.AUTO and not registry.is_device_name(name):
        raise UsageError(f"--device {name}: {registry.unknown_device(name)}")
    if name != registry.AUTO and registry.device_for(name).uses_host_memory:
        return name  # every machine has it
    available = registry.available_devices()
    full = registry.resolve_device(name, available)
    if full not in available:
        raise UsageError(f"--device {name}: {registry.no_device(full, available)}")
    return full


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that change a suite."""
    options = [
        click.option(
            "--set",
            "overrides",
            metavar="KEY=VALUE",
            multiple=True,
            help="Change a setting, as in train.epochs=2. Repeatable.",
        ),
        click.option(
            "--model",
            "models",
            metavar="M",
            multiple=True,
            shell_complete=complete.model,
            help="Only this model (name or label). Repeatable.",
        ),
        click.option(
            "--dataset",
            "datasets",
            metavar="D",
            multiple=True,
            shell_complete=complete.dataset,
            help="Only this dataset (name or label). Repeatable.",
        ),
        click.option(
            "--device",
            "devices",
            metavar="DEV",
            multiple=True,
            help="cpu, cuda, cuda:1, mps or auto, instead of the suite's. Repeatable.",
        ),
        click.option(
            "--seeds",
            type=click.IntRange(min=1),
            metavar="N",
            help="Seeds 0 to N-1, instead of the suite's.",
        ),
        click.option("--yes", is_flag=True, help="Allow more than 1,000 trials."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def selection_from(
    *,
    overrides: tuple[str, ...],
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    devices: tuple[str, ...],
    seeds: int | None,
    yes: bool,
) -> Selection:
    from seqbench.suite.selection import Selection

    return Selection(overrides, models, datasets, devices, seeds, allow_many=yes)


def parameter_values(given: Sequence[str]) -> dict[str, Any]:
    """The values of ``("hidden_size=8",)``. Raises UsageError."""
    import yaml

    values = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals:
            raise UsageError(f"--param {one}: write KEY=VALUE")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--param {one}: {' '.join(str(error).split())}") from error
    return values
