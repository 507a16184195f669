"""A damaged database: set aside, what rows can be read carried over into a new store.

Rules: the service starts in all cases. A marker is written first and removed last, so that a crash
at any moment begins the salvage anew. The new store has a new name; what the receiver may lack of
the old one is declared by its first message, and what waited to be sent is queued again under its
old id. Read `db.py` for opening, `examine.py` for the check.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from edge_agent.durable import sync_folder
from edge_agent.errors import Damaged
from edge_agent.frozen import frozen
from edge_agent.policy import spans
from edge_agent.policy.documents import dump
from edge_agent.store import outbox, redo, renew
from edge_agent.store.db import APPLICATION_ID, FILE, Database, connect, hold
from edge_agent.store.disk import disk_errors, store_file
from edge_agent.store.examine import examine
from edge_agent.store.migrate import LATEST
from edge_agent.store.record import Store, Trouble, open_store
from edge_agent.store.redo import Connection
from edge_agent.store.rows import Draft

log = logging.getLogger("edge_agent.store")

#: Stands in the state directory while a salvage is under way: the name of the damaged file.
MARKER = "damaged"
#: After an unclean end the database is looked at for so long before the service trusts it.
LOOK_S = 1.0
BATCH = 500
#: A declaration of more ranges than this names them all as one, from the first to the last.
MOST_RANGES = 200
#: Columns whose text is JSON, in whatever table.
JSON = frozenset({"body", "stages", "evidence", "box", "skipped", "numbers"})
#: Rows that are asked for one by one behind a damaged page.
GAP = 100_000

_Row: TypeAlias = tuple[Any, ...]


@frozen
class Salvaged:
    """What became of a damaged store."""

    aside: Path
    previous: str | None  # its name, where that could be read
    rows: int


def open_sound(state: Path) -> Store:
    """The store, or a new one with what could be read of a damaged one. Raises as `open_store`."""
    _finish_renewal(state)
    found = _damage(state)
    if found is None:
        try:
            return open_store(state)
        except Damaged as damage:
            found = damage.message
    log.error("the database is damaged and set aside reason=%r", found)
    held = hold(state)  # another agent at work would lose its files
    try:
        mark(state)
        return _salvage(state)
    finally:
        os.close(held)


def _finish_renewal(state: Path) -> None:
    """Where a crash interrupted `renew.py`. Raises EdgeError where another agent is at work."""
    if (state / renew.NEXT).exists():
        held = hold(state)
        try:
            renew.finish(state)
        finally:
            os.close(held)


def mark(state: Path) -> None:
    """The next start sets the database aside. Raises NoRoom or EdgeError."""
    marker = state / MARKER
    if not marker.exists():
        number = 1 + sum(1 for _ in state.glob(f"{FILE}.damaged-*"))
        while (state / f"{FILE}.damaged-{number}").exists():
            number += 1
        store_file(marker, f"{FILE}.damaged-{number}\n".encode())


def _damage(state: Path) -> str | None:
    """What is known against the database, or what a short look finds after an unclean end."""
    if (state / MARKER).exists():
        return "it was found damaged while the agent ran, or while it was salvaged"
    try:
        looked = None if _ended_well(state) else examine(state, LOOK_S)
    except Damaged as damage:
        return damage.message
    return looked.faults[0] if looked is not None and looked.faults else None


def _ended_well(state: Path) -> bool:
    """The last boot wrote its whole account. Raises Damaged."""
    path = state / FILE
    if not path.exists() or not path.stat().st_size:
        return True
    with disk_errors(path):
        connection = connect(path, "rw")
        try:
            rows = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        except sqlite3.OperationalError:
            return True  # locked, or not yet made: opening it will tell
        finally:
            connection.close()
    return rows.get("settled") == rows.get("boot")


# --- the salvage ---------------------------------------------------------------------------------


def _salvage(state: Path) -> Store:
    with disk_errors(state):
        aside = state / (state / MARKER).read_text("ascii").strip()
        for ending in ("-wal", ""):
            here, there = (path.with_name(path.name + ending) for path in (state / FILE, aside))
            if here.exists() and not there.exists():
                here.rename(there)
        for ending in ("", "-wal", "-shm", "-journal"):
            (state / f"{FILE}{ending}").unlink(missing_ok=True)
        sync_folder(state)
    store = open_store(state)
    try:
        salvaged = _carry_over(aside, store.database)
    except BaseException:
        store.close()
        raise
    store.close()
    with disk_errors(state):
        (state / MARKER).unlink()
        sync_folder(state)
    log.warning(
        "salvaged rows=%d previous_store=%s aside=%s", salvaged.rows, salvaged.previous, aside.name
    )
    store = open_store(state)
    message = f"the database was damaged; {salvaged.rows} rows of it were carried over"
    step = f"look at {aside} or delete it; a restart of the agent ends this message"
    store.troubles = (Trouble("database_salvaged", message, step),)
    return store


def _carry_over(aside: Path, database: Database) -> Salvaged:
    old = _open_old(aside)
    if old is None:
        return Salvaged(aside, None, 0)
    try:
        with database.reading() as new:
            tables = [
                name
                for (name,) in new.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN"
                    " ('meta', 'outbox', 'totals') AND name NOT LIKE 'sqlite%'"
                )
            ]
        rows = sum(_copy(old, database, table) for table in tables)
        with database.transaction() as new:
            _fill_in(new)
            previous = _carry_identity(old, new)
        rows += _queue_again(old, database, previous)
    finally:
        old.close()
    return Salvaged(aside, previous, rows)


def _open_old(aside: Path) -> sqlite3.Connection | None:
    """A connection that can read something: with the log, or else without it."""
    if not aside.exists() or not aside.stat().st_size:
        return None
    _mend_header(aside)
    for mode, extra in (("rw", ""), ("ro", "&immutable=1")):
        connection = connect(aside, mode, extra)
        try:
            connection.execute(
                "PRAGMA writable_schema = ON"
            )  # or a file cut short is not looked at
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if mode == "rw":
                _finish_redo(connection, aside.with_name(FILE))
            return connection
        except sqlite3.Error:
            connection.close()
    return None


def _finish_redo(old: Connection, database: Path) -> None:
    """What the old store had deferred belongs to it, as far as its pages take it."""
    try:
        redo.finish(old, database)
    except sqlite3.Error as damage:
        log.warning("what was deferred is lost with the damaged database reason=%r", str(damage))


def _mend_header(aside: Path) -> None:
    """The first 100 bytes are known, whoever overwrote them (sqlite.org/fileformat2.html, 1.3)."""
    with aside.open("r+b") as file:
        if file.read(16) == b"SQLite format 3\0":
            return
        pages = aside.stat().st_size // 512
        header = b"SQLite format 3\0" + bytes([2, 0, 2, 2, 0, 64, 32, 32])
        for number in (1, pages, 0, 0, LATEST, 4, 0, 0, 1, LATEST, 0, APPLICATION_ID):
            header += number.to_bytes(4, "big")
        file.seek(0)
        file.write(header + bytes(20) + (1).to_bytes(4, "big") + bytes(4))


def _copy(old: sqlite3.Connection, database: Database, table: str) -> int:
    """Every row of the table that can be read; their number."""
    with database.reading() as new:
        wanted = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    try:
        there = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except sqlite3.Error:
        return 0
    columns = [name for name in wanted if name in there]
    if not columns:
        return 0
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    count, batch = 0, []
    for row in _rows(old, table, names):
        if not _is_whole(columns, row[1:]):
            continue
        batch.append(row[1:])
        if len(batch) == BATCH:
            count += _insert(database, f"INTO {table} ({names}) VALUES ({marks})", batch)
            batch.clear()
    return count + _insert(database, f"INTO {table} ({names}) VALUES ({marks})", batch)


def _is_whole(columns: list[str], values: _Row) -> bool:
    """Text without its pages reads as zeros, or as somebody else's: JSON then does not parse."""
    for name, value in zip(columns, values, strict=True):
        if isinstance(value, str) and "\0" in value:
            return False
        if name in JSON and value is not None:
            try:
                json.loads(value)
            except ValueError:
                return False
    return True


def _insert(database: Database, into: str, rows: list[_Row]) -> int:
    """Those that the schema takes: a damaged value costs its row only."""
    with database.transaction() as new:
        return sum(new.execute(f"INSERT OR IGNORE {into}", row).rowcount for row in rows)


def _rows(old: sqlite3.Connection, table: str, columns: str) -> Iterator[_Row]:
    """(rowid, columns…), in order; behind a page that cannot be read, one by one."""
    select = f"SELECT rowid, {columns} FROM {table} NOT INDEXED WHERE rowid"
    at, last = 0, _highest(old, table)
    while True:
        try:
            for row in old.execute(f"{select} > ? ORDER BY rowid", (at,)):
                at = row[0]
                yield row
            return
        except sqlite3.Error:
            found = None
            for number in range(at + 1, min(last or at + GAP, at + GAP) + 1):
                at = number
                try:
                    found = old.execute(f"{select} = ?", (number,)).fetchone()
                except sqlite3.Error:
                    continue
                if found is not None:
                    yield found
                    break
            if found is None:
                return


def _highest(old: sqlite3.Connection, table: str) -> int | None:
    try:
        found: int | None = old.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
    except sqlite3.Error:
        return None
    return found


def _fill_in(new: sqlite3.Connection) -> None:
    """What events refer to and was lost: a row that says so, or the event could not be read."""
    new.execute(
        "INSERT OR IGNORE INTO decisions (n, kind, pipeline, rule, time, frame, stages)"
        " SELECT decision, 'event', pipeline, rule, opened, frame, '[]' FROM events"
        " WHERE decision NOT IN (SELECT n FROM decisions)"
    )
    new.execute(
        "INSERT OR IGNORE INTO models (n, name, version, sha256) SELECT DISTINCT model, 'unknown',"
        " '', 'lost-' || model FROM events WHERE model NOT IN (SELECT n FROM models)"
    )
    new.execute(
        "INSERT OR IGNORE INTO configs (n, sha) SELECT DISTINCT config, 'lost-' || config"
        " FROM events WHERE config NOT IN (SELECT n FROM configs)"
    )


def _carry_identity(old: sqlite3.Connection, new: sqlite3.Connection) -> str | None:
    """Boots count on; the name does not. The old name, where it can be read."""
    found: dict[str, Any] = {}
    for key in ("store", "boot"):
        try:
            row = old.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            row = None
        found[key] = row[0] if row else None
    (last,) = new.execute(
        "SELECT coalesce(max(boot), 0) FROM (SELECT boot FROM events UNION SELECT boot FROM clocks)"
    ).fetchone()
    boot = found["boot"] if isinstance(found["boot"], int) else 0
    new.execute("UPDATE meta SET value = ? WHERE key = 'boot'", (max(boot, last),))
    return found["store"] if isinstance(found["store"], str) else None


def _queue_again(old: sqlite3.Connection, database: Database, previous: str | None) -> int:
    """Declare the old store's unsent numbers; queue what was read of them under the old ids."""
    columns = "seq, id, topic, created, sent, body, clock, priority, boot"
    names = columns.split(", ")
    rows = [row for row in _rows(old, "outbox", columns) if _is_whole(names, row[1:])]
    last = max([row[1] for row in rows] + [_highest(old, "outbox") or 0])
    sent = spans.of(row[1] for row in rows if row[5])
    lost = spans.without(((1, last),), sent) if last else ()
    if len(lost) > MOST_RANGES:
        lost = ((lost[0][0], lost[-1][1]),)
    waiting = [row for row in rows if not row[5] and row[3] != "lost"]
    counts: dict[str, int] = {}
    for row in waiting:
        counts[row[3]] = counts.get(row[3], 0) + 1
    with database.transaction() as new:
        if previous is not None:
            body = {
                "ranges": spans.document(lost), "counts": dict(sorted(counts.items())),
                "reason": "salvage", "previous_store": previous, "previous_seq": last,
            }  # fmt: skip
            time = max((row[4] for row in rows), default=0.0)
            outbox.declare(new, 0, dump(body), time)
        for _, _, id_, topic, created, _, body_, clock, priority, boot in waiting:
            draft = Draft(id_, topic, created, body_, priority, clock)
            outbox.insert(new, draft, boot)
    return len(waiting)
