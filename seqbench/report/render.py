"""Calls a report function and returns its text."""

from __future__ import annotations

from seqbench.errors import PluginError, reason_of
from seqbench.plugins.choice import Choice
from seqbench.plugins.loading import check_call, load_object
from seqbench.plugins.output import printed_on_stderr
from seqbench.report.columns.column import Document


def render_report(choice: Choice, document: Document) -> str:
    """Call a plugin's report and return its text. Anything it prints goes to stderr.

    Raises:
        PluginError: the report failed or returned something else; the message has the reason.
    """
    who = f"report {choice.name!r} of {choice.distribution} {choice.version}"
    try:
        with printed_on_stderr():
            function = load_object(choice)
            check_call(choice, function, document, **choice.params)
            text = function(document, **choice.params)
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{who}: {reason_of(error)}") from error
    if not isinstance(text, str):
        raise PluginError(f"{who} returned {type(text).__name__} instead of text")
    return text
