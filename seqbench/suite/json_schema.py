"""JSON Schema of suites, for completion and validation in editors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seqbench.docstrings import restore_docstrings
from seqbench.plugins.registry import KINDS, Offer, Registry, plural
from seqbench.suite import keys as keys_of_suites
from seqbench.suite.keys import DatasetKeys, ModelKeys, Suite
from seqbench.suite.methods import with_own_methods
from seqbench.suite.optimizers import METHODS, Kind, Method
from seqbench.suite.runtimes import OWN, runtime_names
from seqbench.suite.target import SIGNS
from seqbench.types import NAME, Param

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def json_schema(registry: Registry) -> Schema:
    """The schema (draft 2020-12): the fixed keys, and the offers of the plugins in ``registry``.

    Errors that depend on the whole file (a duplicate case, an ambiguous name) are left to
    ``seqbench validate``. ``datasets`` and ``models`` are not required, since they can be in an
    included file.
    """
    restore_docstrings(keys_of_suites)
    schema = Suite.model_json_schema()
    definitions: Schema = schema.pop("$defs")
    beside = {}
    for kind, model in (("dataset", DatasetKeys), ("model", ModelKeys)):
        found = model.model_json_schema()
        definitions |= found["$defs"]
        beside[kind] = found["properties"]
    keys = schema["properties"]
    keys["include"] = {
        "description": "suites to merge this one over: files relative to it, or shipped ones",
        **_any_of({"type": "string"}, {"type": "array", "items": {"type": "string"}}),
    }
    offered = {
        kind: _plugins(kind, registry.all_of(kind), definitions)
        for kind in KINDS
        if plural(kind) in keys
    }
    beside["dataset"]["metrics"] |= _entries(offered["metric"], {})
    for one in (keys, beside["dataset"]):
        one["primary_metric"] |= _primary_metric(offered["metric"])
    for kind, plugins in offered.items():
        keys[f"{kind}s"] |= _entries(plugins, beside.get(kind, {}))
    keys["name"]["pattern"] = f"^{NAME.pattern}$"
    definitions["Measure"] = _measure(definitions["Measure"])
    definitions["Latency"]["properties"]["runtimes"] |= _runtimes(registry)
    training = definitions["Training"]["properties"]
    for what in METHODS:
        others = [] if what == "optimizer" else [{"type": "null"}]
        training[what] = _methods(training[what], what, registry, *others)
    schema.pop("required")
    return {"$schema": DIALECT, **schema, "$defs": definitions}


def _plugins(kind: str, offers: Sequence[Offer[Any]], definitions: Schema) -> Schema:
    """A reference for each usable name to its parameters, which are added to ``definitions``."""
    found = {}
    count = Counter(offer.spec.name for offer in offers)
    for offer in offers:
        key = f"{kind}:{offer.qualified_name}"
        definitions[key] = _parameters(offer.spec)
        # A name that two packages offer must be qualified.
        short = [offer.spec.name] if count[offer.spec.name] == 1 else []
        for name in (*short, offer.qualified_name):
            found[name] = {"$ref": f"#/$defs/{key}"}
    return found


def _runtimes(registry: Registry) -> Schema:
    """One name or a list of names: seqbench's own runtimes and those of plugins."""
    own = [offer.qualified_name for offer in OWN.offers]
    qualified = [offer.qualified_name for offer in registry.all_of("runtime")]
    name = {"enum": list(dict.fromkeys([*runtime_names(registry), *own, *qualified]))}
    return _any_of(name, {"type": "array", "items": name, "minItems": 1, "uniqueItems": True})


def _entries(plugins: Schema, beside: Mapping[str, Any]) -> Schema:
    """A list of names or one-name mappings, or one mapping; ``beside``: keys beside a name."""
    entry = {
        "type": "object",
        "properties": {**plugins, **beside},
        "additionalProperties": False,
        "minProperties": 1,
        **({} if beside else {"maxProperties": 1}),
    }
    names = {"enum": list(plugins)}
    together = {"type": "object", "properties": plugins, "additionalProperties": False}
    return _any_of(
        {"type": "array", "items": _any_of(names, entry), "minItems": 1},
        {**together, "minProperties": 1},
    )


def _primary_metric(metrics: Schema) -> Schema:
    """A name, or one name with parameters."""
    one = {"type": "object", "properties": metrics, "additionalProperties": False}
    return _any_of(
        {"enum": [*SIGNS, *metrics]}, {**one, "minProperties": 1, "maxProperties": 1},
        {"type": "null"},
    )  # fmt: skip


def _parameters(spec: Any) -> Schema:
    properties = {name: _or_grid(_value(param)) for name, param in spec.parameters.items()}
    return {
        "description": spec.description,
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }


def _or_grid(value: Schema) -> Schema:
    about: Schema = {key: value.pop(key) for key in ("description", "default") if key in value}
    return {**about, **_any_of(value, {"type": "array", "items": value, "minItems": 1})}


def _value(param: Param) -> Schema:
    """The values that a parameter accepts."""
    default = list(param.default) if isinstance(param.default, tuple) else param.default
    about: Schema = {"default": default}
    if param.help:
        about["description"] = param.help
    if param.choices:
        return {**about, "enum": list(param.choices)}
    if default is None:
        return about
    limits = {"minimum": param.minimum, "maximum": param.maximum}
    limits = {key: limit for key, limit in limits.items() if limit is not None}
    if isinstance(default, list):
        items = {"type": "number", **limits} if isinstance(param.default, tuple) else {}
        size = len(default)
        sizes = {"minItems": size, "maxItems": size} if items else {}
        return {**about, "type": "array", "items": items, **sizes}
    return {**about, "type": _type(default), **limits}


def _type(default: Any) -> str:
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))
    return next((name for kind, name in kinds if isinstance(default, kind)), "object")


def _methods(about: Schema, what: str, registry: Registry, *others: Schema) -> Schema:
    """A name, or a mapping of one name to its parameters."""
    kinds = {}
    offers = with_own_methods(registry).all_of(what)
    count = Counter(offer.spec.name for offer in offers)
    for offer in offers:
        own = offer.origin.distribution == "seqbench"
        kind = Method(offer.spec.name, offer=None if own else offer).kind(METHODS[what])
        short = [offer.spec.name] if count[offer.spec.name] == 1 else []
        for name in (*short, offer.qualified_name):
            kinds[name] = kind
    choices = {name: _method(kind) for name, kind in kinds.items()}
    names = {"enum": [name for name, kind in kinds.items() if not kind.required]}
    one = {"minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    mapping = {"type": "object", "properties": choices, **one}
    return {"description": about["description"], **_any_of(names, mapping, *others)}


def _method(kind: Kind) -> Schema:
    """The parameters of an optimizer, schedule or loss."""
    return {
        "description": kind.description,
        "type": "object" if kind.required else ["object", "null"],
        "properties": {
            key: {"description": param.help, "type": ["string", "object"]}
            if key in kind.optimizers
            else _value(param)
            for key, param in kind.parameters.items()
        },
        "required": list(kind.required),
        "additionalProperties": False,
    }


def _measure(mapping: Schema) -> Schema:
    """A list of names; or a mapping, in which null stands for the default settings."""
    names = list(mapping["properties"])
    settings = {
        name: _any_of({"$ref": f"#/$defs/{name.capitalize()}"}, {"type": "null"}) for name in names
    }
    listed = {"type": "array", "items": {"enum": names}, "minItems": 1, "uniqueItems": True}
    return {
        "description": mapping["description"],
        **_any_of(listed, {**mapping, "properties": settings, "minProperties": 1}),
    }


def _any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}
