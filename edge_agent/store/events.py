"""Table `events`: an event to its row and back, with its decisions, model and configuration.

Rules: an event is inserted once, closed once, and what is known only when it closes is updated
then. Numbers inside JSON are rounded as `policy/documents` rounds them, so the document of an
event that was read back equals the document of the one that was written. Read `record.py` next.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from edge_agent.errors import EdgeError
from edge_agent.policy.documents import About, dump, rounded
from edge_agent.store import clocks, decisions
from edge_agent.store.rows import Opened, StoredEvent
from edge_agent.types import Box, Event, Priority

#: Set when the event opens and never again.
_FIXED = ("id", "priority", "pipeline", "source", "rule", "opened", "frame", "input")
#: Updated while it is open.
_RUNNING = ("seen", "score_max", "score_median", "count", "box")
#: Final when it closes.
_FINAL = ("label", "zone", "text", "advice", "closed", "close_reason", "track", "evidence")
_ORIGIN = ("boot", "decision", "model", "config", "engine")


def _insert(columns: tuple[str, ...]) -> str:
    values = ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO events ({', '.join(columns)}) VALUES ({values})"


def _update(columns: tuple[str, ...]) -> str:
    values = ", ".join(f"{column} = :{column}" for column in columns)
    return f"UPDATE events SET {values} WHERE id = :id AND closed IS NULL"


_OPEN = _insert(_FIXED + _RUNNING + _FINAL + _ORIGIN)
_CLOSE = _update(_RUNNING + _FINAL)
_SEE = _update(_RUNNING)

_COLUMNS = _FIXED + _RUNNING + _FINAL
_SELECT = f"""
SELECT {", ".join(f"e.{column}" for column in _COLUMNS)},
       e.boot, d.stages, m.name, m.version, m.sha256, e.engine, c.sha
FROM events AS e
JOIN decisions AS d ON d.n = e.decision
JOIN models AS m ON m.n = e.model
JOIN configs AS c ON c.n = e.config
"""


def insert(connection: sqlite3.Connection, opened: Opened, boot: int) -> None:
    """Raises EdgeError when an event of that id is there already."""
    event, about = opened.event, opened.about
    decision = decisions.insert(connection, decisions.of_event(event), boot)
    model, config = _model(connection, about), config_number(connection, about.config_sha256)
    origin = (boot, decision, model, config, about.engine)
    try:
        connection.execute(_OPEN, _row(event) | dict(zip(_ORIGIN, origin, strict=True)))
    except sqlite3.IntegrityError as error:
        if "events.id" not in str(error):
            raise
        raise EdgeError(
            f"event {event.id} is in this store already (the same input, replayed again?)",
            "replay into another directory with --store",
        ) from error


def close(connection: sqlite3.Connection, event: Event) -> None:
    """Write the final values. Raises LookupError when no event of that id is open."""
    found = connection.execute(
        "SELECT decision FROM events WHERE id = ? AND closed IS NULL", (event.id,)
    ).fetchone()
    if found is None:
        raise LookupError(f"event {event.id} is not open in this store")
    connection.execute(_CLOSE, _row(event))
    # Most often the way that opened it is the whole story: then its page stays clean.
    stages = decisions.to_json(event.decisions)
    connection.execute(
        "UPDATE decisions SET stages = ? WHERE n = ? AND stages <> ?", (stages, found[0], stages)
    )


def attach(connection: sqlite3.Connection, event: str, entry: Mapping[str, Any]) -> None:
    """One more piece of evidence at the end of an event's list."""
    connection.execute(
        "UPDATE events SET evidence = json_insert(evidence, '$[#]', json(?)) WHERE id = ?",
        (dump(dict(entry)), event),
    )


def see(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Bring open events up to date; one that was closed meanwhile stays as it is."""
    connection.executemany(_SEE, [_row(event) for event in events])


def select(
    connection: sqlite3.Connection, clause: str = "", values: Iterable[Any] = ()
) -> tuple[StoredEvent, ...]:
    """The events that `clause` (WHERE…, ORDER BY…, LIMIT… on `e`) picks."""
    return tuple(_stored(row) for row in connection.execute(_SELECT + clause, tuple(values)))


def told(
    connection: sqlite3.Connection, clause: str = "", values: Iterable[Any] = ()
) -> tuple[StoredEvent, ...]:
    """As `select`, with times as others tell them (clocks.py)."""
    known = clocks.corrections(connection)
    return tuple(_told(stored, known) for stored in select(connection, clause, values))


#: SQL: when an event opened, as others tell it.
OPENED = f"(e.opened + {clocks.correction_of('e')})"
#: SQL: no event recorded before this one opened at that time or later. It spares a long search.
SINCE = (
    "e.n >= (SELECT coalesce(min(+n), 9e18) FROM events WHERE opened >="
    " ? - (SELECT coalesce(max(correction), 0.0) FROM clocks WHERE correction > 0))"
)


def before(
    connection: sqlite3.Connection, pipeline: str, time: float, limit: int
) -> tuple[StoredEvent, ...]:
    """The `limit` events of a pipeline that opened up to `time`, of each likely boot, as others
    tell it; the newest first."""
    return _beside(connection, pipeline, (time, "<=", "DESC"), limit)


def around(
    connection: sqlite3.Connection, pipeline: str, time: float, limit: int
) -> tuple[StoredEvent, ...]:
    """Those, and as many that opened later."""
    later = _beside(connection, pipeline, (time, ">", "ASC"), limit)
    return before(connection, pipeline, time, limit) + later


def _beside(
    connection: sqlite3.Connection, pipeline: str, side: tuple[float, str, str], limit: int
) -> tuple[StoredEvent, ...]:
    time, compare, order = side
    found = [
        stored
        for span in clocks.spans(connection, time)
        for stored in told(
            connection,
            f"WHERE e.pipeline = ? AND e.boot {span.boots} AND e.opened {compare} ?"
            " AND e.opened BETWEEN ? AND ?"
            f" ORDER BY e.opened {order}, e.n {order} LIMIT ?",
            (pipeline, time - span.correction, span.first, span.last, limit),
        )
    ]
    newest_first = order == "DESC"
    return tuple(sorted(found, key=lambda each: each.event.opened, reverse=newest_first)[:limit])


def moved(event: Event, seconds: float) -> Event:
    """The same with all of its times that much later."""
    closed = None if event.closed is None else event.closed + seconds
    return replace(event, opened=event.opened + seconds, seen=event.seen + seconds, closed=closed)


def _told(stored: StoredEvent, known: Mapping[int, float]) -> StoredEvent:
    correction = known.get(stored.boot, 0.0)
    return replace(stored, event=moved(stored.event, correction)) if correction else stored


def config_number(connection: sqlite3.Connection, sha: str) -> int:
    return _number(connection, "configs", {"sha": sha})


def _model(connection: sqlite3.Connection, about: About) -> int:
    columns = {"name": about.model, "version": about.version, "sha256": about.sha256}
    return _number(connection, "models", columns)


def _number(connection: sqlite3.Connection, table: str, columns: dict[str, str]) -> int:
    """The number of the row with these values, which is added where it is missing."""
    where = " AND ".join(f"{column} = :{column}" for column in columns)
    found = connection.execute(f"SELECT n FROM {table} WHERE {where}", columns).fetchone()
    if found:
        return int(found[0])
    names, values = ", ".join(columns), ", ".join(f":{column}" for column in columns)
    cursor = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", columns)
    assert cursor.lastrowid is not None  # an INSERT that did not raise
    return cursor.lastrowid


def _row(event: Event) -> dict[str, Any]:
    plain = {column: getattr(event, column) for column in _COLUMNS}
    return plain | {
        "priority": event.priority.value,
        "box": None if event.box is None else dump(rounded(event.box)),
        "evidence": dump([dict(item) for item in event.evidence]),
    }


def _stored(row: tuple[Any, ...]) -> StoredEvent:
    plain = dict(zip(_COLUMNS, row, strict=False))
    boot, stages, model, version, sha256, engine, config = row[len(_COLUMNS) :]
    event = Event(
        **plain
        | {
            "priority": Priority(plain["priority"]),
            "box": None if plain["box"] is None else _box(plain["box"]),
            "evidence": tuple(json.loads(plain["evidence"])),
            "decisions": decisions.from_json(stages),
        }
    )
    return StoredEvent(event, About(model, version, sha256, engine, config), boot)


def _box(text: str) -> Box:
    x0, y0, x1, y1 = json.loads(text)
    return (x0, y0, x1, y1)
