"""`manifest.yaml` and the labels of a bundle are read: a mistake in them has its line and column.

Rule: what is wrong is one sentence, about the mistake that lies deepest. Read `bundle.py` next.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.bundles.labels import clean
from edge_agent.bundles.manifest import Manifest, as_manifest
from edge_agent.config import yaml_text
from edge_agent.config.part import Invalid
from edge_agent.config.wording import dotted, shown
from edge_agent.errors import Refused
from edge_agent.pipeline.decode import FAMILIES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

#: Bytes that a manifest may have.
_LARGEST = 1_000_000


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises Refused with the first thing that is wrong and its place."""
    try:
        if path.stat().st_size > _LARGEST:
            raise Refused(f"{path.name} of the bundle is larger than {_LARGEST // 1_000_000} MB")
        tree = yaml_text.parse(path.read_text("utf-8"))
    except OSError as fault:
        raise Refused(f"{path.name} of the bundle cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path.name} of the bundle is not UTF-8 text") from None
    if tree.faults:
        first = tree.faults[0]
        line, column = first.place or tree.marks.at(first.path)
        raise Refused(f"{path.name}:{line}:{column}: {dotted(first.path)}: {first.message}")
    try:
        return as_manifest(tree.data)
    except Invalid as invalid:
        where, sentence = _mistake(invalid, tree.data)
        line, column = tree.marks.at(where)
        raise Refused(f"{path.name}:{line}:{column}: {dotted(where)}: {sentence}") from None


def read_labels(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """The labels that the manifest lists or whose file it names; line i names class i."""
    if isinstance(manifest.labels, tuple):
        return tuple(clean(name, index) for index, name in enumerate(manifest.labels))
    path = folder / manifest.labels
    if Path(manifest.labels).name != manifest.labels:
        raise Refused(f"the manifest names labels outside its bundle: {manifest.labels}")
    try:
        lines = path.read_text("utf-8-sig").rstrip().splitlines()
    except OSError as fault:
        raise Refused(f"{path.name} of the bundle cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path.name} of the bundle is not UTF-8 text") from None
    return tuple(clean(line, index) for index, line in enumerate(lines))


def _mistake(invalid: Invalid, data: object) -> tuple[tuple[str | int, ...], str]:
    """Where the mistake is that lies deepest in the file, and what it is."""
    found = [(_place(details, data), details) for details in invalid.errors]
    where, details = max(found, key=lambda each: len(each[0]))
    match details["type"]:
        case "union_tag_not_found" | "union_tag_invalid" if where:
            return (*where, "kind"), "allowed: image | signal"
        case "union_tag_not_found":
            return ("family",), f"missing, allowed: {' | '.join(FAMILIES)}"
        case "union_tag_invalid":
            family = data.get("family") if isinstance(data, Mapping) else None
            return ("family",), f"{shown(family)}: this version decodes {', '.join(FAMILIES)}"
        case "missing":
            return where, "missing"
        case "extra_forbidden":
            return where, "unknown key"
        case "value_error":
            return where, f"{shown(details['input'])}: {details['ctx']['error']}"
    return where, f"{shown(details['input'])}: {details['msg'].removeprefix('Input ')}"


def _place(details: ErrorDetails, data: object) -> tuple[str | int, ...]:
    """pydantic also names the family and the alternatives it tried: only what stands in the file,
    and a key that is missing there."""
    path: tuple[str | int, ...] = ()
    here: Any = data
    for part in details["loc"]:
        if part in (here if isinstance(here, Mapping) else _indexes(here)):
            here = here[part]
            path = (*path, part)
    if details["type"] == "missing":
        path = (*path, details["loc"][-1])
    return path


def _indexes(here: object) -> range:
    return range(len(here)) if isinstance(here, list) else range(0)
