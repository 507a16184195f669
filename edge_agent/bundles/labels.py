"""Label files of every kind that people have: text, COCO and YOLO, lists and maps, with gaps.

One name a line; `index name` or `index: name` lines; a JSON or YAML list; a map from index to name;
YOLO's `data.yaml` with `names:`; COCO's annotation JSON with `categories`; the dictionary that
Ultralytics puts into a model. Rules: index i names class i; names are cleaned of what could move a
terminal's cursor. How a numbering with gaps meets a model's number of classes is in
`Labels.listed`. Read `guess.py` next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_agent.config import yaml_text
from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

MOST = 100_000
BACKGROUND = "background"
_NUMBERED = re.compile(r"(\d+)\s*[:,\s]\s*(\S.*)")


@frozen
class Labels:
    """Names by the index of their class, as a file gave them."""

    names: Mapping[int, str]

    def listed(self, counts: Sequence[int] = ()) -> tuple[str, ...]:
        """A name for every class from 0 on; `counts` are the numbers of classes the model can have.

        A gap is filled with its index; class 0 of a numbering from 1 is the background. Where that
        is no number of the model but the count of the names is, the gaps are the file's only: COCO
        numbers its 80 classes up to 90.
        """
        filled = tuple(self._name(index) for index in range(max(self.names) + 1))
        for count in counts:
            if len(filled) == count:
                return filled
            if len(self.names) == count:
                return tuple(self.names[index] for index in sorted(self.names))
        return filled

    def _name(self, index: int) -> str:
        unnamed = BACKGROUND if index == 0 and 1 in self.names else str(index)
        return self.names.get(index, unnamed)


def read_label_file(path: Path) -> Labels:
    """Raises UsageError when the file is not there or holds no labels."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "save the labels as UTF-8") from None
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror}") from None
    return parse_labels(text, path)


def parse_labels(text: str, path: Path) -> Labels:
    """The labels in a file's text; its ending says how to read it. Raises UsageError."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        try:
            return _structured(json.loads(text), path)
        except (json.JSONDecodeError, RecursionError) as fault:
            raise UsageError(f"{path}: not JSON: {fault}") from None
    # A Python dictionary, as Ultralytics writes it, reads as YAML.
    if suffix in {".yaml", ".yml"} or text.lstrip().startswith("{"):
        tree = yaml_text.parse(text)
        if tree.faults:
            raise UsageError(f"{path}: {tree.faults[0].message}")
        return _structured(tree.data, path)
    return _lines(text, path)


def clean(name: Any, index: int) -> str:
    """A label on one line, without control characters; its index where nothing is left."""
    words = " ".join(str(name).split())
    return "".join(letter for letter in words if letter.isprintable()) or str(index)


def _structured(data: Any, path: Path) -> Labels:
    if isinstance(data, Mapping) and "names" in data:  # YOLO's data.yaml, Ultralytics' metadata
        data = data["names"]
    elif isinstance(data, Mapping) and "categories" in data:  # COCO's annotations
        data = _categories(data["categories"], path)
    if isinstance(data, list) and data and all(isinstance(entry, Mapping) for entry in data):
        data = _categories(data, path)
    if isinstance(data, list):
        return _labels(enumerate(data), path)
    if isinstance(data, Mapping):
        return _labels(data.items(), path)
    raise _no_labels(path)


def _categories(entries: Any, path: Path) -> Mapping[Any, Any]:
    try:
        return {entry["id"]: entry["name"] for entry in entries}
    except (TypeError, KeyError):
        raise UsageError(f"{path}: each of its categories must have an id and a name") from None


def _lines(text: str, path: Path) -> Labels:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    numbered = [_NUMBERED.fullmatch(line) for line in lines if line]
    if numbered and all(numbered) and len({found[1] for found in numbered if found}) == len(lines):
        return _labels(((found[1], found[2]) for found in numbered if found), path)
    return _labels(enumerate(lines), path)


def _labels(entries: Iterable[tuple[Any, Any]], path: Path) -> Labels:
    try:
        names = {int(key): name for key, name in entries}
    except (ValueError, TypeError, OverflowError):
        raise UsageError(f"{path}: a label's index is a whole number") from None
    if not names:
        raise _no_labels(path)
    if min(names) < 0 or max(names) >= MOST:
        raise UsageError(f"{path}: indexes of labels run from 0 to {MOST - 1}")
    return Labels({index: clean(name, index) for index, name in names.items()})


def _no_labels(path: Path) -> UsageError:
    return UsageError(
        f"{path} holds no labels", "a list of names, a map from index to name, or one name a line"
    )
