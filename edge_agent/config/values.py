"""What single values of a configuration may be, beyond plain text and numbers.

Rules: each type is one function that returns the value or raises ValueError with the sentence a
person reads, and one `allowed` text for the reference and for mistakes. Nothing is converted
silently. Read `schema.py` next.
"""

from __future__ import annotations

import math
import os
import re
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeGuard

from edge_agent.config.annotations import after, allowed, before, bounds, instead
from edge_agent.config.asking import is_file, is_zone
from edge_agent.config.camera_uri import CAMERA, uri_fault
from edge_agent.config.repository_address import ADDRESS, address_fault, is_folder
from edge_agent.config.secret import HOW_TO_WRITE, Secret
from edge_agent.config.signal_uri import FILES, KINDS, parse
from edge_agent.config.wording import did_you_mean, printable, quoted, shown
from edge_agent.errors import UsageError
from edge_agent.pipeline.schedule import Schedule
from edge_agent.pipeline.sentence import text_fault
from edge_agent.pipeline.zones import polygon_fault
from edge_agent.types import Point, Polygon

if TYPE_CHECKING:
    from pydantic import ValidationInfo

MAX_CONFIRM = 100
MAX_THREADS = 64
MAX_POINTS = 200


def is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def no_null(value: object, instead: str) -> object:
    """For a key whose off switch is a word: an empty value is none of its values."""
    if value is None:
        raise _refused(value, instead)
    return value


def _refused(value: object, instead: str) -> ValueError:
    return ValueError(f"{shown(value)} stands here, allowed: {instead}")


# --- text ----------------------------------------------------------------------------------------

NAME = "1 to 64 printable characters, no space at either end"
DEVICE_ID = "1 to 64 letters a-z A-Z, digits, - and _, or ${hostname}, or ${serial}"
SCHEDULE = "windows such as mon-fri 22:00-06:00; sat,sun 00:00-24:00"
LABELS = "a label, or a list of labels"
TIMEZONE = "an IANA name such as Asia/Tokyo"


def _name(text: str) -> str:
    if not text or text != text.strip() or len(text) > 64 or not text.isprintable():
        raise _refused(text, NAME)
    return text


def _whole_number_as_text(value: object) -> object:
    """A label, a tag or a site that is a whole number is meant as text."""
    return str(value) if is_whole(value) else value


def _some_text(text: str) -> str:
    if not text.strip():
        raise _refused(text, "text, not empty")
    return text


def _device_id(text: str) -> str:
    if text in ("${hostname}", "${serial}"):
        return text
    plain = all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in text)
    if not plain or not 1 <= len(text) <= 64:
        raise _refused(text, DEVICE_ID)
    return text


def _timezone(text: str, info: ValidationInfo) -> str:
    if not is_zone(text, info):
        hint = did_you_mean(text, sorted(zoneinfo.available_timezones()))
        raise ValueError(f"{quoted(text)} is no time zone, allowed: {TIMEZONE}{hint}")
    return text


def _labels(value: object) -> str | tuple[str, ...]:
    """One label, or several of which any will do."""
    if isinstance(value, list | tuple) and value:
        return tuple(_label(item) for item in value)
    return _label(value)


def _label(value: object) -> str:
    text = _whole_number_as_text(value)
    if not isinstance(text, str) or not text.strip():
        raise _refused(value, LABELS)
    return text


def _template(text: str) -> str:
    fault = text_fault(_some_text(text))
    if fault is not None:
        raise ValueError(fault)
    return text


def _schedule(text: str) -> str:
    Schedule.parse(text)
    return text


AsText = before(_whole_number_as_text)
Text = Annotated[str, AsText, allowed("text")]
SomeText = Annotated[str, AsText, after(_some_text), allowed("text, not empty")]
Name = Annotated[str, AsText, after(_name), allowed(f"a name: {NAME}")]
Labels = Annotated[str | tuple[str, ...], before(_labels), allowed(LABELS)]
Template = Annotated[str, AsText, after(_template), allowed("text, not empty")]
ZoneName = Annotated[str, AsText, allowed("the name of a zone of this pipeline")]
LineName = Annotated[str, AsText, allowed("the name of a line of this pipeline")]
OutputName = Annotated[str, AsText, allowed("the name of an output")]
SourceName = Annotated[str, AsText, allowed("the name of a source")]
DeviceId = Annotated[str, AsText, after(_device_id), allowed(DEVICE_ID)]
TimeZone = Annotated[str, after(_timezone), allowed(TIMEZONE)]
Windows = Annotated[str, after(_schedule), allowed(SCHEDULE)]

# --- numbers -------------------------------------------------------------------------------------

CONFIRM = f"[n, m], whole numbers, 1 <= n <= m <= {MAX_CONFIRM}"
MIN_SCORE = "model | a number from 0 to 1"
SCORE_ABOVE = "model | a number"
THREADS = f"auto | a whole number from 1 to {MAX_THREADS}"


def _confirm(value: object) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) == 2:
        n, m = value
        if is_whole(n) and is_whole(m) and 1 <= n <= m <= MAX_CONFIRM:
            return n, m
    raise _refused(value, CONFIRM)


def _min_score(value: object) -> object:
    if value == "model":
        return value
    if is_number(value) and 0 <= value <= 1:
        return float(value)
    raise _refused(value, MIN_SCORE)


def _score_above(value: object) -> object:
    if value == "model":
        return value
    if is_number(value) and math.isfinite(value):
        return float(value)
    raise _refused(value, SCORE_ABOVE)


def _threads(value: object) -> object:
    if value == "auto" or (is_whole(value) and 1 <= value <= MAX_THREADS):
        return value
    raise _refused(value, THREADS)


Fraction = Annotated[float, bounds(ge=0, le=1)]
Seconds = Annotated[float, bounds(ge=0)]
PositiveSeconds = Annotated[float, bounds(gt=0)]
Count = Annotated[int, bounds(ge=1)]
Confirm = Annotated[tuple[int, int], before(_confirm), allowed(CONFIRM, "array")]
MinScore = Annotated[float | Literal["model"], before(_min_score), allowed(MIN_SCORE)]
ScoreAbove = Annotated[float | Literal["model"], before(_score_above), allowed(SCORE_ABOVE)]
Threads = Annotated[int | Literal["auto"], before(_threads), allowed(THREADS)]

# --- places in the picture -----------------------------------------------------------------------

POINT = "[x, y], numbers from 0 to 1 of the picture's width and height"
POLYGON = "a list of three or more points [x, y], numbers from 0 to 1"


def _pair(value: object) -> Point | None:
    if isinstance(value, list | tuple) and len(value) == 2:
        x, y = value
        if is_number(x) and is_number(y):
            return float(x), float(y)
    return None


def _point(value: object) -> Point:
    pair = _pair(value)
    if pair is None:
        raise _refused(value, POINT)
    if not all(0 <= number <= 1 for number in pair):
        raise ValueError(f"the point {shown(value)} lies outside of the picture, allowed: {POINT}")
    return pair


def _polygon(value: object) -> Polygon:
    if _pair(value) is not None:
        raise ValueError(f"the point {shown(value)} stands here, allowed: {POLYGON}")
    pairs = [_pair(item) for item in value] if isinstance(value, list | tuple) else [None]
    polygon = tuple(pair for pair in pairs if pair is not None)
    if len(polygon) < len(pairs):
        raise _refused(value, POLYGON)
    if len(polygon) > MAX_POINTS:
        raise ValueError(f"has {len(polygon)} points, allowed: up to {MAX_POINTS}")
    fault = polygon_fault(polygon)
    if fault is not None:
        raise ValueError(fault)
    return polygon


Place = Annotated[Point, before(_point), allowed(POINT, "array")]
Area = Annotated[Polygon, before(_polygon), allowed(POLYGON, "array")]

# --- files and secrets ---------------------------------------------------------------------------


def _beside(info: ValidationInfo) -> Path:
    """The folder of the configuration, handed in by `load`."""
    return Path((info.context or {}).get("beside", "."))


def file_beside(text: str, folder: Path) -> str:
    """A file as the configuration in `folder` names it."""
    return str(folder / os.path.expanduser(text))


def _possible_path(text: str) -> str:
    """What the file system may be asked for without refusing the question."""
    too_long = len(text) > 1000 or any(len(part.encode()) > 255 for part in text.split("/"))
    if not text.strip() or "\0" in text or too_long:
        raise _refused(text, "the name of a file")
    return text


def _file_name(text: str, info: ValidationInfo) -> str:
    return file_beside(_possible_path(text), _beside(info))


def _prefix(text: str) -> str:
    """The beginning of an MQTT topic."""
    if not text or set(text) & set("+#\0") or text.strip("/") != text:
        raise ValueError
    return text


def _prom_file(text: str, info: ValidationInfo) -> str:
    if not text.endswith(".prom"):
        raise ValueError("node_exporter reads only files whose name ends in .prom")
    return _file_name(text, info)


def _existing_file(text: str, info: ValidationInfo) -> str:
    path = _file_name(text, info)
    if not is_file(path, info):
        raise ValueError(f"there is no file {printable(path)}")
    return path


def _secret(value: object, info: ValidationInfo) -> Secret:
    secret = Secret.parse(value, _beside(info))
    _possible_path(secret.name)
    if secret.kind == "file" and not is_file(str(secret.path), info):
        raise ValueError(f"there is no file {printable(str(secret.path))} for this secret")
    return secret


def _repository(text: str, info: ValidationInfo) -> str:
    fault = address_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return _file_name(text, info) if is_folder(text) else text


# --- cameras -------------------------------------------------------------------------------------

SIZE = "WIDTHxHEIGHT in pixels, such as 1280x720"


def _camera_uri(text: str) -> str:
    fault = uri_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def _size(text: str) -> str:
    if re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", text) is None:
        raise _refused(text, SIZE)
    return text


# --- signals -------------------------------------------------------------------------------------

SIGNAL = f"{', '.join(f'{kind}:' for kind in KINDS)} and what each wants, as in docs/signals.md"


def _signal_uri(text: str, info: ValidationInfo) -> str:
    """The files of it are named relative to the configuration."""
    try:
        uri = parse(text)
    except UsageError as fault:
        raise ValueError(fault.in_one_line) from None
    if uri.kind not in FILES or uri.place == "-":
        return text
    _, _, options = text.removeprefix(f"{uri.kind}:{uri.place}").partition("?")
    path = file_beside(_possible_path(uri.place), _beside(info))
    return f"{uri.kind}:{path}" + (f"?{options}" if options else "")


SignalUriText = Annotated[str, after(_signal_uri), allowed(SIGNAL)]

CameraUri = Annotated[str, AsText, after(_camera_uri), allowed(CAMERA)]
Size = Annotated[str, after(_size), allowed(SIZE)]

FileName = Annotated[str, after(_file_name), allowed("the name of a file")]
Prefix = Annotated[str, AsText, after(_prefix), allowed("a topic such as homeassistant")]
PromFile = Annotated[str, after(_prom_file), allowed("the name of a file ending in .prom")]
RepositoryAddress = Annotated[str, after(_repository), allowed(ADDRESS)]
ExistingFile = Annotated[str, after(_existing_file), allowed("the name of a file")]
Footage = Annotated[str, after(_file_name), allowed("a file, a folder or a pattern")]
ModelRef = Annotated[str, AsText, after(_possible_path), allowed("the name or the file of a model")]
SecretRef = Annotated[Secret, instead(_secret), allowed(HOW_TO_WRITE)]
