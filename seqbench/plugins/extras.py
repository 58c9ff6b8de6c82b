"""The packages that only some commands need: extras of seqbench install them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from seqbench.errors import MissingExtra

#: Modules that pages and charts need.
REPORT = ("altair", "jinja2", "vl_convert")


def require(what: str, extra: str, modules: Iterable[str]) -> None:
    """Check that modules are installed, without importing them.

    Args:
        what: needs them; the start of the message.
        extra: the extra that installs them.

    Raises:
        MissingExtra: one is not.
    """
    missing = ", ".join(name for name in modules if not _is_installed(name))
    if missing:
        how = f'pip install "seqbench[{extra}]"'
        raise MissingExtra(f"{what} needs {missing}, not installed here: {how}")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # some finder refuses it
        return False
