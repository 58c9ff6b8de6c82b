"""Turns pydantic's errors into messages for users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from seqbench.errors import UnknownName
from seqbench.suggest import did_you_mean, nearest, suggested
from seqbench.suite.optimizers import METHODS
from seqbench.suite.strict_yaml import described, shown

NOTHING: Mapping[str, str] = {}

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


#: Examples for keys whose form is easily mistaken.
EXAMPLES = {"match": "as in {parameters: 64k}"}


def in_words(
    error: ErrorDetails, model: type[BaseModel], chosen: Mapping[str, str] = NOTHING
) -> tuple[str, str]:
    """The message and hint for one of pydantic's errors in data for ``model``.

    Args:
        chosen: the names of the optimizer, schedule and loss that the suite has.
    """
    kind, value, location = error["type"], error["input"], error["loc"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "suite":
        return context["message"], context["hint"]
    if kind == "missing":
        return "this key is missing", ""
    if kind == "extra_forbidden":
        return unknown_key(model, location, chosen), ""
    if kind in WANTED:
        quotes = kind == "string_type" and isinstance(value, (int, float))
        hint = EXAMPLES.get(str(location[-1]), "") if location else ""
        hint = f'for text, write "{value}"' if quotes else hint
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


def unknown_key(
    model: type[BaseModel],
    location: tuple[int | str, ...],
    chosen: Mapping[str, str] = NOTHING,
) -> str:
    """What to say of a key that does not exist at ``location`` below ``model``.

    A key that exists in another mapping is named with its path there: ``train.epochs``. One of the
    suite itself is named as such, unless a key beside it begins alike: ``training``.

    Args:
        chosen: see :func:`in_words`.
    """
    *above, name = map(str, location)
    parent: type[BaseModel] | None = model
    for part in above:
        field = parent.model_fields.get(part) if parent else None
        parent = _mapping(field.annotation) if field else None
    siblings = list(parent.model_fields) if parent else []
    message = f"unknown key {shown(name)}"
    paths = list(_paths(model, chosen))
    if name.lower() not in siblings:
        elsewhere = [path for path in paths if path.rpartition(".")[2] == name.lower()]
        top = elsewhere == [name]
        longer = any(other.startswith(name) for other in siblings)
        if elsewhere and not (top and longer):
            return f"{message}; {did_you_mean(*elsewhere, where='at the top level' * top)}"
    if not nearest(name, siblings):
        last = {path.rpartition(".")[2]: path for path in reversed(paths)}
        if near := nearest(name, last):
            return f"{message}; {did_you_mean(last[near])}"
    return suggested(message, name, siblings)


def _paths(
    model: type[BaseModel], chosen: Mapping[str, str] = NOTHING, above: str = ""
) -> Iterator[str]:
    """The dotted paths of all keys below ``model``, upper ones first, and of the parameters of
    optimizers, schedules and losses. A parameter that several have is listed once: under the method
    in ``chosen``, or else under the first.
    """
    below = []
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        if (inner := _mapping(field.annotation)) is not None:
            below.append((inner, f"{above}{name}."))
    for inner, path in below:
        yield from _paths(inner, chosen, path)
    for what, kinds in METHODS.items() if "optimizer" in model.model_fields else ():
        usual = chosen.get(what) or {"optimizer": "adam"}.get(what, "")
        seen: set[str] = set()
        for method in sorted(kinds, key=lambda name: name != usual):
            yield from (
                f"{above}{what}.{method}.{name}"
                for name in kinds[method].parameters
                if name not in seen
            )
            seen |= set(kinds[method].parameters)


def _mapping(annotation: Any) -> type[BaseModel] | None:
    """The mapping with fixed keys that a field holds, or None."""
    choices = (annotation, *get_args(annotation))
    found = (c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return next(found, None)


def _number(limit: float) -> str:
    return f"{int(limit):,}" if limit == int(limit) else f"{limit:g}"


def unknown_name(error: UnknownName, name: str) -> str:
    """The message of an error about ``name``, safe to print."""
    text = str(error).replace(repr(name), shown(name))
    return "".join(character for character in text if character.isprintable())
