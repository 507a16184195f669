"""What the schema says of each key, in words: for mistakes and for the reference.

Rules: everything is read from the JSON Schema of a model (`schema.Config`; a policy's and a rollout
plan's are asked for, too), so no key is described twice. Read `mistakes.py` next.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from edge_agent.config.part import Part
from edge_agent.config.schema import Config
from edge_agent.config.yaml_text import Path
from edge_agent.frozen import frozen

#: One part of a JSON Schema.
Fragment: TypeAlias = Mapping[str, Any]

#: In the path of a key: any name, and any item of a list.
ANY_NAME = "NAME"
ANY_ITEM = "[]"


@frozen
class Key:
    """One line of the reference. `kind`: the kind of source that has it, "" elsewhere."""

    path: tuple[str, ...]
    kind: str
    allowed: str
    default: str | None  # None: it is required; "": a mapping whose keys have their defaults
    meaning: str


def every_key() -> Iterator[Key]:
    """All keys there are, in the order of the schema."""
    return _keys(json_schema(), (), "")


def names_at(path: Path, data: object, model: type[Part] = Config) -> tuple[str, ...]:
    """The keys that the mapping at `path` may have; () where it may have any."""
    return _names(fragment_at(path, data, model))


def choices_at(path: Path, data: object, model: type[Part] = Config) -> tuple[str, ...]:
    """The words of which one must stand at `path`; () where more than words may."""
    fragment = fragment_at(path, data, model)
    return tuple(map(word, fragment.get("enum", ()))) or tuple(kinds(fragment))


def allowed_at(path: Path, data: object, model: type[Part] = Config) -> str:
    return allowed(fragment_at(path, data, model))


@functools.cache
def json_schema(model: Any = Config) -> Fragment:
    """With what it refers to put in where it is referred to; `$ref` still says that it was."""
    from edge_agent.config.judging import adapter  # loads pydantic

    schema = adapter(model).json_schema()
    whole: Fragment = _unfolded(schema, schema.get("$defs", {}))
    return whole


def _unfolded(part: Any, definitions: Fragment) -> Any:
    if isinstance(part, list):
        return [_unfolded(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    own = {word: _unfolded(each, definitions) for word, each in part.items() if word != "$defs"}
    if "$ref" not in part:
        return own
    name = part["$ref"].rsplit("/", 1)[-1]
    return {**_unfolded(definitions[name], definitions), **_own(own), "$ref": part["$ref"]}


# --- below: walking the schema -------------------------------------------------------------------


def fragment_at(path: Path, data: object, model: type[Part] = Config) -> Fragment:
    """The part of the schema for `path`; `data` decides which kind a source is."""
    which: Any = model  # mypy takes the hash of a part for that of its class
    fragment, value = _resolved(json_schema(which), data), data
    for step in path:
        value = _child(value, step)
        below = fragment.get("properties", {}).get(step)
        below = below or fragment.get("additionalProperties") or fragment.get("items") or {}
        fragment = _resolved(below, value)
    return fragment


def _child(value: object, step: str | int) -> object:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _resolved(fragment: Fragment, value: object) -> Fragment:
    """See through `X or null`, choose the kind of a source."""
    if "oneOf" in fragment:
        kind = value.get("kind") if isinstance(value, dict) else None
        return kinds(fragment).get(kind, fragment) if isinstance(kind, str) else fragment
    if "anyOf" in fragment and "$ref" in fragment["anyOf"][0]:
        whole = _resolved(fragment["anyOf"][0], value)
        return {**whole, **_own(fragment), "anyOf": fragment["anyOf"]}
    return fragment


def kinds(fragment: Fragment) -> dict[str, Fragment]:
    """The kinds of source by name, in the order of the schema; none where it is no source."""
    found = [_resolved(choice, None) for choice in fragment.get("oneOf", ())]
    return {choice["properties"]["kind"]["const"]: choice for choice in found}


def _names(fragment: Fragment) -> tuple[str, ...]:
    """The keys of a mapping, those first that it must have."""
    required = fragment.get("required", ())
    return tuple(sorted(fragment.get("properties", ()), key=lambda name: name not in required))


def _own(fragment: Fragment) -> Fragment:
    """What a key says beside its type."""
    return {word: fragment[word] for word in ("default", "description") if word in fragment}


def _keys(fragment: Fragment, path: tuple[str, ...], kind: str) -> Iterator[Key]:
    required = fragment.get("required", ())
    for name in _names(fragment):
        whole = _resolved(fragment["properties"][name], None)
        here = (*path, name)
        default = None if name in required else _default(whole)
        yield Key(here, kind, allowed(whole), default, whole.get("description", ""))
        yield from _inside(whole, here, kind)


def _inside(fragment: Fragment, path: tuple[str, ...], kind: str) -> Iterator[Key]:
    """The keys of whatever a key holds: a mapping, mappings by name, a list of mappings."""
    yield from _keys(fragment, path, kind)
    for word, step in (("additionalProperties", ANY_NAME), ("items", ANY_ITEM)):
        below = fragment.get(word)
        if not isinstance(below, dict):
            continue
        for name, choice in kinds(below).items():
            yield from _keys(choice, (*path, step), name)
        yield from _inside(_resolved(below, None), (*path, step), kind)


def _default(fragment: Fragment) -> str:
    return word(fragment["default"]) if "default" in fragment else ""


# --- below: words --------------------------------------------------------------------------------


def allowed(fragment: Fragment) -> str:
    """What may stand there: `true | false`, `a number from 0 to 1`, `a mapping with kind, uri`."""
    if "allowed" in fragment:
        return str(fragment["allowed"])
    if "anyOf" in fragment:
        return " | ".join(allowed(_resolved(choice, None)) for choice in fragment["anyOf"])
    if "oneOf" in fragment:
        return "a mapping with kind: " + " | ".join(kinds(fragment))
    if "enum" in fragment or "const" in fragment:
        return " | ".join(map(word, fragment.get("enum", [fragment.get("const")])))
    match fragment.get("type"):
        case "object":
            return _mapping(fragment)
        case "array":
            some = ", at least one" if fragment.get("minItems") else ""
            return f"a list of: {allowed(_resolved(fragment['items'], None))}{some}"
        case "number" | "integer":
            return _number(fragment)
        case "boolean":
            return "true | false"
        case "null":
            return "null"
    return "text"


def word(value: object) -> str:
    """A value as it stands in the file."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def _mapping(fragment: Fragment) -> str:
    if "properties" in fragment:
        return "a mapping with " + ", ".join(_names(fragment))
    return "a mapping of names, at least one" if "minProperties" in fragment else "a mapping"


def _number(fragment: Fragment) -> str:
    kind = "a whole number" if fragment["type"] == "integer" else "a number"
    low, high = fragment.get("minimum"), fragment.get("maximum")
    above = fragment.get("exclusiveMinimum")
    if above is not None:
        return f"{kind} above {above:g}" + (f", up to {high:g}" if high is not None else "")
    if low is not None and high is not None:
        return f"{kind} from {low:g} to {high:g}"
    return kind if low is None else f"{kind}, {low:g} or more"
