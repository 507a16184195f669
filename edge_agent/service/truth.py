"""The truth file of `models eval`: which inputs, and what is really in each of them.

CSV with a heading, or JSON lines; the columns say what kind of truth it is (docs/recipes.md):

    file,label                  a picture's class
    file,label,x0,y0,x1,y1      an object in a picture, one a line; no label: nothing is in it
    file,label,x,y              a key point of the body in a picture
    file,mask                   a picture of the same size, of which each pixel is a class
    file,anomaly[,from,to]      1 or 0: whether this stretch of a signal, in seconds, is one

JSON lines have the same keys, and `boxes: [{"label", "box": [x0, y0, x1, y1]}]` for all objects of
a picture, `points: [{"label", "point": [x, y]}]` for all its key points. Rules: files are relative
to the truth file, and `built-in:...` is the built-in machine; boxes and points are in 0..1; a
mistake is named with its line. Read `evaluate.py` next.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.statistics import Labelled
from edge_agent.sources.built_in import SCHEME
from edge_agent.types import Box

_CORNERS = ("x0", "y0", "x1", "y1")
_POINT = ("x", "y")
_YES_NO = {"1": True, "0": False, "true": True, "false": False}


@frozen
class Stretch:
    """A part of a signal, in seconds from its beginning, and whether it is an anomaly."""

    start: float
    end: float
    anomaly: bool


@frozen
class Case:
    """What is true of one file; None where the truth file does not say that kind of thing."""

    file: str  # a path, or `built-in:...`
    line: int
    label: str | None = None
    boxes: tuple[Labelled, ...] | None = None  # key points are boxes without an extent
    mask: str | None = None  # the path of a picture of classes
    stretches: tuple[Stretch, ...] | None = None


def read_truth(path: Path, family: str) -> tuple[Case, ...]:
    """The cases for a model of that family, one a file, in the order of the truth file.

    Raises UsageError with the line of the first mistake.
    """
    cases: dict[str, Case] = {}
    for line, row in _rows(path):
        where = f"{path.name}:{line}"
        case = _case(where, line, path.parent, row, family)
        before = cases.get(case.file)
        cases[case.file] = case if before is None else _joined(where, before, case)
    if not cases:
        raise UsageError(f"{path} holds no truth", "its first line is a heading: file,label")
    return tuple(cases.values())


# --- the file ----------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number and what stands in it."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror}") from None
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, _json_row(f"{path.name}:{number}", line)
        return
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if "file" not in (reader.fieldnames or ()):
        raise UsageError(
            f"{path.name}:1: the heading has no column `file`",
            "write file,label or file,label,x0,y0,x1,y1 or file,label,x,y or file,mask or "
            "file,anomaly,from,to",
        )
    for row in reader:
        yield reader.line_num, {key: value for key, value in row.items() if value not in (None, "")}


def _json_row(where: str, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as fault:
        raise UsageError(f"{where}: not JSON: {fault.msg}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{where}: a line is an object with `file`")
    return row


# --- a line ------------------------------------------------------------------------------------


def _case(where: str, line: int, folder: Path, row: Mapping[str, Any], family: str) -> Case:
    name = row.get("file")
    if not isinstance(name, str):
        raise UsageError(f"{where}: no `file`", "each line names the file that it is about")
    case = Case(name if name.startswith(SCHEME) else str(folder / name), line)
    match family:
        case "classification":
            return replace(case, label=_label(where, row))
        case "anomaly":
            return replace(case, stretches=(_stretch(where, row),))
        case "pose":
            return replace(case, boxes=_points(where, row))
        case "segmentation":
            return replace(case, mask=_mask(where, folder, row))
    return replace(case, boxes=_boxes(where, row))


def _joined(where: str, before: Case, case: Case) -> Case:
    """Several lines about one file."""
    if case.label is not None or case.mask is not None:
        raise UsageError(
            f"{where}: {Path(case.file).name} stands there twice, first in line {before.line}"
        )
    if case.boxes is not None:
        return replace(before, boxes=(*(before.boxes or ()), *case.boxes))
    return replace(before, stretches=(*(before.stretches or ()), *(case.stretches or ())))


def _label(where: str, row: Mapping[str, Any]) -> str:
    label = row.get("label")
    if label is None or isinstance(label, dict | list):
        raise UsageError(f"{where}: no `label`", "a classification's truth is file,label")
    return str(label)


def _boxes(where: str, row: Mapping[str, Any]) -> tuple[Labelled, ...]:
    if "boxes" in row:
        found = row["boxes"]
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise UsageError(f'{where}: `boxes` is a list of {{"label", "box"}}')
        return tuple((_label(where, each), _box(where, each.get("box"))) for each in found)
    if "label" not in row:
        strange = sorted(set(row) - {"file", *_CORNERS})
        if strange:  # else a truth of another family would say that nothing is there
            raise UsageError(
                f"{where}: `{strange[0]}` tells nothing about detections",
                "a detection's truth is file,label,x0,y0,x1,y1, or a file alone: nothing is in it",
            )
        return ()
    missing = [corner for corner in _CORNERS if corner not in row]
    if missing:
        raise UsageError(
            f"{where}: no `{missing[0]}`", "a detection's truth is file,label,x0,y0,x1,y1"
        )
    return ((_label(where, row), _box(where, [row.get(corner) for corner in _CORNERS])),)


def _points(where: str, row: Mapping[str, Any]) -> tuple[Labelled, ...]:
    if "points" in row:
        found = row["points"]
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise UsageError(f'{where}: `points` is a list of {{"label", "point"}}')
        return tuple((_label(where, each), _point(where, each.get("point"))) for each in found)
    missing = [key for key in ("label", *_POINT) if key not in row]
    if missing:
        raise UsageError(f"{where}: no `{missing[0]}`", "a pose's truth is file,label,x,y")
    return ((_label(where, row), _point(where, [row.get(key) for key in _POINT])),)


def _point(where: str, given: Any) -> Box:
    if not isinstance(given, list) or len(given) != 2:
        raise UsageError(f"{where}: a point is x, y")
    x, y = (_number(where, each) for each in given)
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UsageError(
            f"{where}: the point {x:g}, {y:g} is outside",
            "x and y are in 0..1 of the picture's width and height",
        )
    return x, y, x, y


def _mask(where: str, folder: Path, row: Mapping[str, Any]) -> str:
    mask = row.get("mask")
    if not isinstance(mask, str):
        raise UsageError(f"{where}: no `mask`", "a segmentation's truth is file,mask")
    return str(folder / mask)


def _box(where: str, corners: Any) -> Box:
    if not isinstance(corners, list) or len(corners) != 4:
        raise UsageError(f"{where}: a box is x0, y0, x1, y1")
    x0, y0, x1, y1 = (_number(where, corner) for corner in corners)
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise UsageError(
            f"{where}: the box {x0:g}, {y0:g}, {x1:g}, {y1:g} is none",
            "x0 < x1 and y0 < y1, in 0..1 of the picture's width and height",
        )
    return x0, y0, x1, y1


def _stretch(where: str, row: Mapping[str, Any]) -> Stretch:
    said = str(row.get("anomaly", "")).lower()
    if said not in _YES_NO:
        raise UsageError(f"{where}: `anomaly` is {said or 'missing'}", "write 1 or 0")
    start, end = _number(where, row.get("from", 0)), _number(where, row.get("to", math.inf))
    if not start < end:
        raise UsageError(f"{where}: from {start:g} to {end:g} is no stretch of time")
    return Stretch(start, end, _YES_NO[said])


def _number(where: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"{where}: {value!r} is no number")
    return number
