"""A run as a report of a plugin."""

from __future__ import annotations

import contextlib
import sys

from seqbench.errors import PluginError, reason_of
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.report.columns.column import Document


def render_report(choice: Choice, document: Document) -> str:
    """The text that a report makes of a run; what it prints goes to stderr.

    Raises:
        PluginError: it makes none; whatever the plugin's own code raised stands in the message.
    """
    who = f"report {choice.name!r} of {choice.distribution} {choice.version}"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            function = load_object(choice)
            check_call(choice, function, document, **choice.params)
            text = function(document, **choice.params)
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who}: {reason_of(error)}") from error
    if not isinstance(text, str):
        raise PluginError(f"{who} returned {type(text).__name__}, not a text")
    return text
