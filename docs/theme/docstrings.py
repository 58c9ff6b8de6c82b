"""A Griffe extension: docstrings keep Python's usual markup, and the site shows it as Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|mod|meth|data|attr):`~?(?:seqbench\.)*([\w.]+)`")


class Markdown(griffe.Extension):
    """Roles become code, and the ``::`` before an example goes."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None and not obj.is_alias:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    text = ROLE.sub(r"`\1`", text)
    text = re.sub(r"^::\n\n", "", text, flags=re.MULTILINE)
    return re.sub(r"(\w)::$", r"\1:", text, flags=re.MULTILINE)
