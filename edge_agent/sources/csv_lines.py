"""Lines of numbers become samples: the columns, the header, the time, what is missing or wrong.

Pure. Rules: the first line says which separator there is and, where a field is no number, is a
header. A field that is empty, `nan`, `na`, `null` or `none` is a missing sample. A line that is no
sample is damage with its number, and stands for one missing sample, so that the others keep their
places. Behind `;` and tab a comma is a decimal comma.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from itertools import groupby
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import parse_rfc3339
from edge_agent.sources.signal import Block, Damage
from edge_agent.sources.windower import usual_step

SEPARATORS = (";", "\t", ",")
TIME_NAMES = ("time", "timestamp")
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
#: A line is no longer than this.
LONGEST_LINE = 1 << 16


@frozen
class BadLines:
    """A run of lines that are no samples, by number."""

    first: int
    last: int

    @property
    def damage(self) -> Damage:
        if self.first == self.last:
            return Damage(f"line {self.first} is no sample")
        return Damage(f"lines {self.first} to {self.last} are no samples")


@frozen
class Wanted:
    """Which columns are the channels (() all but the time) and which is the time ("" by name)."""

    columns: tuple[str, ...] = ()
    time: str = ""


@frozen
class Layout:
    """Where everything stands in a line. `dated`: the times are RFC 3339."""

    separator: str
    fields: int
    channels: tuple[int, ...]
    time: int | None = None
    dated: bool = False
    places: tuple[int, ...] = ()  # of the numbers of a row: the channels, then the time


class Lines:
    """Reads the lines of one file or stream. `layout` is known once a sample was seen.

    `greeted`: a device may say who it is first. Of the lines in front of the first sample the last
    one that is no numbers is the header, if it has as many fields.
    """

    def __init__(self, wanted: Wanted, subject: str, *, greeted: bool = False) -> None:
        self._wanted = wanted
        self._subject = subject  # begins the sentence about a wrong column
        self._greeted = greeted
        self._header: list[str] | None = None
        self._header_line = 0  # its number
        self._separator = ""  # of the header
        self._number = 0  # of the latest line, from 1
        self.layout: Layout | None = None
        self.bad = 0

    def learn(self, line: str) -> None:
        """The first line of a file of which only the end will be read."""
        if line.strip():
            self._is_header(line)

    @property
    def number(self) -> int:
        """Of the latest line, from 1."""
        return self._number

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels: the header's, or their numbers. () before the first sample."""
        if self.layout is None:
            return ()
        return tuple(
            self._header[place] if self._header else str(place + 1)
            for place in self.layout.channels
        )

    def read(self, lines: Sequence[str]) -> Iterator[Block | BadLines]:
        """The samples of the next lines, then each run of bad ones.

        Raises UsageError when a wanted column is not there.
        """
        rows: list[list[float]] = []
        bad: list[int] = []
        for line in lines:
            self._number += 1
            if not line.strip():
                continue
            if self.layout is None and not self._lay_out(line, bad):
                continue
            row = None if self.layout is None else self._row(line, self.layout)
            if row is None:
                bad.append(self._number)
            if self.layout is not None:
                rows.append(row or [np.nan] * len(self.layout.places))
        if self.layout is not None and rows:
            yield from _blocks(rows, self.layout)
        self.bad += len(bad)
        yield from _runs(bad)

    # --- the layout ------------------------------------------------------------------------------

    def _lay_out(self, line: str, bad: list[int]) -> bool:
        """Learn from a line in front of the first sample; False where it is a header."""
        before = self._header_line
        if (self._header is None or self._greeted) and self._is_header(line):
            bad += [before] * bool(before)  # that one was a greeting
            return False
        if self._greeted and self._is_no_header_of(line):
            bad.append(before)
        self.layout = self._found(line)
        return True

    def _is_header(self, line: str) -> bool:
        separator = _separator(line)
        fields = _fields(line, separator)
        if all(map(_is_value, fields)):
            return False
        self._header, self._separator = fields, separator
        self._header_line = self._number
        return True

    def _is_no_header_of(self, line: str) -> bool:
        """What was taken for one, and has other fields than the first line of numbers."""
        if self._header is None or len(line.split(self._separator)) == len(self._header):
            return False
        self._header, self._separator = None, ""
        return True

    def _found(self, line: str) -> Layout | None:
        """The layout by the header and the first line behind it; None where that is no sample."""
        separator = self._separator or _separator(line)
        fields = _fields(line, separator)
        if len(fields) != len(self._header or fields) or not all(map(_is_value, fields)):
            return None
        names = self._header or [str(place + 1) for place in range(len(fields))]
        time = self._place(self._wanted.time, names) if self._wanted.time else _time_of(names)
        channels = tuple(self._place(name, names) for name in self._wanted.columns)
        channels = channels or tuple(place for place in range(len(fields)) if place != time)
        if not channels:
            raise UsageError(f"{self._subject} has no column beside the time")
        dated = time is not None and _date(fields[time]) is not None
        places = channels if time is None else (*channels, time)
        return Layout(separator, len(fields), channels, time, dated, places)

    def _place(self, name: str, names: list[str]) -> int:
        if name in names:
            return names.index(name)
        raise UsageError(
            f"{self._subject} has no column {name!r}", f"it has: {', '.join(names[:20])}"
        )

    def _row(self, line: str, layout: Layout) -> list[float] | None:
        """The channels, then the time; None for what is no sample."""
        fields = line.split(layout.separator)
        if len(fields) != layout.fields:
            return None
        if not layout.dated:
            try:
                row = [float(fields[place]) for place in layout.places]
            except ValueError:  # quotes, decimal commas, words for what is missing: slower
                return self._careful_row(fields, layout)
            if layout.time is None or isfinite(row[-1]):
                return row
        return self._careful_row(fields, layout)

    def _careful_row(self, fields: list[str], layout: Layout) -> list[float] | None:
        try:
            row = [_value(fields[place], layout.separator) for place in layout.channels]
            if layout.time is not None:
                row.append(_moment(fields[layout.time], layout))
        except ValueError:
            return None
        return row


def _blocks(rows: list[list[float]], layout: Layout) -> Iterator[Block]:
    """One block; none where every line was bad, and with it the time of each."""
    table = np.array(rows, np.float64)
    times = None if layout.time is None else _whole_times(table[:, -1])
    if layout.time is not None and times is None:
        return
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so missing
        values = table[:, : len(layout.channels)].astype(np.float32)
    yield Block(values, times)


def _runs(numbers: list[int]) -> Iterator[BadLines]:
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield BadLines(members[0], members[-1])


def _whole_times(times: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """With the times that bad lines would have had; None when there is no good line."""
    known = np.flatnonzero(np.isfinite(times))
    if not len(known):
        return None
    step = usual_step(np.diff(times[known])) or 0.0
    place = np.arange(len(times))
    whole = np.interp(place, known, times[known])
    whole -= np.maximum(known[0] - place, 0) * step
    whole += np.maximum(place - known[-1], 0) * step
    return np.asarray(whole)


# --- the fields --------------------------------------------------------------------------------


def _separator(line: str) -> str:
    return next((each for each in SEPARATORS if each in line), ",")


def _fields(line: str, separator: str) -> list[str]:
    return [_bare(field) for field in line.split(separator)]


def _bare(field: str) -> str:
    return field.strip().strip('"').strip()


def _time_of(names: list[str]) -> int | None:
    lower = [name.lower() for name in names]
    return next((lower.index(name) for name in TIME_NAMES if name in lower), None)


def _is_value(field: str) -> bool:
    try:
        _value(field, SEPARATORS[0])
    except ValueError:
        return _date(field) is not None
    return True


def _value(field: str, separator: str) -> float:
    """NaN for what is missing. Raises ValueError."""
    field = _bare(field)
    if field.lower() in MISSING:
        return float("nan")
    return float(field if separator == "," else field.replace(",", "."))


def _moment(field: str, layout: Layout) -> float:
    """Seconds; of a date since the epoch. Raises ValueError, also where none stands there."""
    moment = _date(_bare(field)) if layout.dated else _value(field, layout.separator)
    if moment is None or not isfinite(moment):
        raise ValueError(field)
    return moment


def _date(field: str) -> float | None:
    """RFC 3339, in UTC where it names no zone; None for everything else."""
    if "-" not in field[1:]:
        return None
    try:
        return parse_rfc3339(field, UTC)
    except ValueError:
        return None
