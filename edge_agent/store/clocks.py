"""Table `clocks`: how the own time of each start of the service relates to the others' time.

Rules: every time in the store stays as it was read, on the clock of its boot; one row here corrects
all of them at once, the unsent messages too, where they are read for others. Starts of the service
between which the machine stayed on share the kernel's monotonic seconds, so what is heard in one of
them corrects those before it. `lived` counts the seconds of the store's life, for retention: it
goes on with the agent's own seconds, whatever the wall clock says. Read `record.py` next.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.correction import Correction

#: Of the time between two starts, as wall clocks tell it, at most so much makes rows older: a
#: clock that is ten years ahead costs a week of what is kept, not all of it.
MOST_AWAY_S = 7 * 86400.0
JUST_BEFORE_S = 0.001
#: How long a boot lasted is known to a flush of the ledger.
_MARGIN_S = 3600.0
#: Every pipeline writes a window at every flush: the last of a boot is among so many.
_NEWEST = 256


@frozen
class Reading:
    """A start's clock: `kernel` names the start of the machine, `base` is what `now` adds to its
    monotonic seconds, `began` when the service started, on its own clock."""

    kernel: str
    base: float
    began: float


@frozen
class Before:
    """Times older than `time` in that boot, and all of earlier boots."""

    boot: int
    time: float


@frozen
class Span:
    """Rows of some boots: a condition on `boot`, their correction, and between which of their own
    times they lie, so that an index over times need not be searched through."""

    boots: str
    correction: float
    first: float
    last: float


@frozen
class _Row:
    boot: int
    reading: Reading
    correction: float | None
    lived: float  # at `began`


def begin(connection: sqlite3.Connection, boot: int, reading: Reading) -> None:
    """This boot's clock. Once, at its start."""
    connection.execute(
        "INSERT OR REPLACE INTO clocks (boot, kernel, base, began, correction, lived)"
        " VALUES (?, ?, ?, ?, NULL, 0.0)",
        (boot, reading.kernel, reading.base, reading.began),
    )
    _count_life(connection, boot)


def hear(connection: sqlite3.Connection, boot: int, correction: Correction) -> None:
    """What a time server says of this boot, and so of those before it with the machine on."""
    mine = _of(connection, boot)
    if mine is None or not correction.synced:
        return
    ahead = mine.reading.base + correction.offset  # of the kernel's monotonic seconds
    connection.execute("UPDATE clocks SET correction = ? WHERE boot = ?", (correction.offset, boot))
    connection.execute(
        "UPDATE clocks SET correction = ? - base"
        " WHERE correction IS NULL AND kernel = ? AND kernel <> ''",
        (ahead, mine.reading.kernel),
    )
    _count_life(connection, boot)


def corrections(connection: sqlite3.Connection) -> dict[int, float]:
    """Seconds to add to the times of each boot, of those of which it is known."""
    return dict(
        connection.execute("SELECT boot, correction FROM clocks WHERE correction IS NOT NULL")
    )


def correction_of(table: str) -> str:
    """SQL: the seconds to add to the times of a row of that table, 0 where nothing is known."""
    return f"coalesce((SELECT correction FROM clocks WHERE clocks.boot = {table}.boot), 0.0)"


def word_of(connection: sqlite3.Connection, boot: int) -> str:
    """`unsynced` where no time server was heard in that boot so far."""
    row = _of(connection, boot)
    return "unsynced" if row is not None and row.correction is None else "synced"


def shift(connection: sqlite3.Connection, earlier: int, later: int) -> float | None:
    """Seconds to add to a time of an earlier boot to get it on the clock of a later one.

    None where nobody knows: one of them was never synced, the other was, and the machine was off.
    """
    one, other = _of(connection, earlier), _of(connection, later)
    if one is None or other is None:
        return 0.0
    if one.reading.kernel == other.reading.kernel != "":
        return other.reading.base - one.reading.base
    if one.correction is not None and other.correction is not None:
        return one.correction - other.correction
    neither = one.correction is None and other.correction is None
    return 0.0 if neither else None


def end(connection: sqlite3.Connection, moment: tuple[int, float], boot: int) -> float:
    """When something of an earlier boot ended, on the clock of this one, before it began.

    Where nobody knows how long ago that was: just before it.
    """
    earlier, time = moment
    known, mine = shift(connection, earlier, boot), _of(connection, boot)
    latest = math.inf if mine is None else mine.reading.began - JUST_BEFORE_S
    return latest if known is None else min(time + known, latest)


def aged(connection: sqlite3.Connection, boot: int, now: float, keep_s: float) -> Before | None:
    """What is older than `keep_s` of the store's life; None for nothing."""
    mine = _of(connection, boot)
    if mine is None:
        return None
    then = mine.lived + (now - mine.reading.began) - keep_s
    found = connection.execute(
        "SELECT boot, began + ? - lived FROM clocks WHERE lived <= ? ORDER BY boot DESC LIMIT 1",
        (then, then),
    ).fetchone()
    return None if found is None else Before(*found)


def life(connection: sqlite3.Connection, boot: int, now: float) -> float:
    """How old the store is now; `now` is on the clock of that boot."""
    mine = _of(connection, boot)
    return 0.0 if mine is None else mine.lived + (now - mine.reading.began)


def spans(connection: sqlite3.Connection, time: float) -> list[Span]:
    """Where rows of that moment may stand: in the last two boots that began before it as others
    tell it, in the first after it, and in those of which no clock is known."""
    told = (
        "SELECT boot, coalesce(correction, 0.0) AS c, began, began - lived + coalesce((SELECT lived"
        " FROM clocks AS next WHERE next.boot > clocks.boot ORDER BY boot LIMIT 1), 9e18)"
        " FROM clocks WHERE began + c"
    )
    near = [
        *connection.execute(f"{told} <= ? ORDER BY boot DESC LIMIT 2", (time,)),
        *connection.execute(f"{told} > ? ORDER BY boot LIMIT 1", (time,)),
    ]
    found = [
        Span(f"= {int(boot)}", correction, began - _MARGIN_S, last + _MARGIN_S)
        for boot, correction, began, last in near
    ]
    first = connection.execute(
        "SELECT boot, began + coalesce(correction, 0.0) FROM clocks ORDER BY boot LIMIT 1"
    ).fetchone()
    if first is None:
        found.append(Span(">= 0", 0.0, -math.inf, math.inf))
    elif first[0] > 1 and time <= first[1] + _MARGIN_S:
        found.append(Span(f"< {int(first[0])}", 0.0, -math.inf, math.inf))
    return found


# --- below: the store's life ---------------------------------------------------------------------


def _count_life(connection: sqlite3.Connection, boot: int) -> None:
    """How old the store was when this boot began, as well as it is known by now."""
    mine = _of(connection, boot)
    found = connection.execute("SELECT max(boot) FROM clocks WHERE boot < ?", (boot,)).fetchone()
    before = None if found[0] is None else _of(connection, found[0])
    if mine is None or before is None:
        return
    (written,) = connection.execute(
        "SELECT max(ended) FROM (SELECT boot, ended FROM frames ORDER BY n DESC LIMIT ?)"
        " WHERE boot = ?",
        (_NEWEST, before.boot),
    ).fetchone()
    ended = max(before.reading.began, written or before.reading.began)
    lived = before.lived + ended - before.reading.began
    known = shift(connection, before.boot, boot)
    if known is not None:
        away = max(0.0, mine.reading.began - (ended + known))
        stayed_on = mine.reading.kernel == before.reading.kernel != ""
        lived += away if stayed_on else min(away, MOST_AWAY_S)
    connection.execute("UPDATE clocks SET lived = ? WHERE boot = ?", (lived, boot))


def _of(connection: sqlite3.Connection, boot: int) -> _Row | None:
    row: tuple[Any, ...] | None = connection.execute(
        "SELECT boot, kernel, base, began, correction, lived FROM clocks WHERE boot = ?", (boot,)
    ).fetchone()
    if row is None:
        return None
    number, kernel, base, began, correction, lived = row
    return _Row(number, Reading(kernel, base, began), correction, lived)
