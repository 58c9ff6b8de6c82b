"""Turns pydantic's errors into messages for users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from seqbench.errors import UnknownName
from seqbench.plugins.parameters import nearest
from seqbench.suite.strict_yaml import described, shown

WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}

LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


def in_words(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    """The message and hint for one of pydantic's errors in data for ``model``."""
    kind, value, location = error["type"], error["input"], error["loc"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "suite":
        return context["message"], context["hint"]
    if kind == "missing":
        return "this key is missing", ""
    if kind == "extra_forbidden":
        return f"unknown key {shown(location[-1])}", nearest(
            str(location[-1]), keys_at(model, location[:-1])
        )
    if kind in WANTED:
        quotes = kind == "string_type" and isinstance(value, (int, float))
        hint = f'for text, write "{value}"' if quotes else ""
        return f"must be {WANTED[kind]}, not {described(value)}", hint
    if kind in LIMITS:
        words, key = LIMITS[kind]
        share = key == "le" and str(location[-1]).startswith("accuracy")
        hint = "a fraction: 0.85 means 85 %" if share else ""
        return f"must be {words} {_number(context[key])}, not {shown(value)}", hint
    if kind == "literal_error":
        return f"must be {context['expected']}, not {shown(value)}", ""
    if kind == "too_short":
        return "must not be empty", ""
    if kind == "too_long":
        return f"has more than {context['max_length']} items", ""
    if kind == "string_too_long":
        return f"is longer than {context['max_length']:,} characters", ""
    return f"{described(value)} is not valid here", ""


def keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed in the mapping at ``location`` below ``model``."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        choices = (annotation, *get_args(annotation))
        model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def _number(limit: float) -> str:
    return f"{int(limit):,}" if limit == int(limit) else f"{limit:g}"


def unknown_name(error: UnknownName, name: str) -> str:
    """The message of an error about ``name``, safe to print."""
    text = str(error).replace(repr(name), shown(name))
    return "".join(character for character in text if character.isprintable())
