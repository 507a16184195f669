"""Is the database sound, how large is it, what is in it? For `doctor` and the support bundle.

Read-only, bounded in time, in one connection: a running agent goes on writing meanwhile. Checking
a large file may take longer than one wants to wait, so it is given up and says so.
"""

from __future__ import annotations

import sqlite3
from dataclasses import field
from pathlib import Path
from time import monotonic

from edge_agent.frozen import frozen
from edge_agent.store.db import FILE, connect, read_header, refuse_contents
from edge_agent.store.disk import disk_errors
from edge_agent.store.migrate import LATEST, version

#: SQLite asks whether to go on after so many of its instructions.
_STEPS = 20_000
#: Faults of one file that are told.
_TOLD = 5


@frozen
class Examined:
    """`faults`: what SQLite found damaged. `whole`: the check was not given up before its end."""

    size: int  # bytes of the database, and of its write-ahead log
    log: int
    schema: int
    faults: tuple[str, ...]
    whole: bool
    rows: dict[str, int] = field(default_factory=dict)  # by table

    @property
    def is_old(self) -> bool:
        """An older version wrote it; the agent migrates it at its next start."""
        return self.schema < LATEST


def examine(state: Path, seconds: float, *, count: bool = False) -> Examined | None:
    """The database of `state`; None where there is none. `count`: also the rows of each table.

    Raises EdgeError where it cannot be read at all, Refused for a newer version's.
    """
    path = state / FILE
    end = monotonic() + seconds
    with disk_errors(path):
        size = path.stat().st_size if path.exists() else 0
        if not size:
            return None
        read_header(path)
        connection = connect(path, "ro")
        try:
            refuse_contents(path, connection)
            schema = version(connection)
            connection.set_progress_handler(lambda: monotonic() > end, _STEPS)
            faults, whole = _faults(connection)
            rows = _rows(connection) if count and not faults else {}
            return Examined(size, _size_of_log(path), schema, faults, whole, rows)
        finally:
            connection.close()


def _faults(connection: sqlite3.Connection) -> tuple[tuple[str, ...], bool]:
    """What is damaged, and whether everything was looked at."""
    try:
        told = connection.execute(f"PRAGMA quick_check({_TOLD})").fetchall()
    except sqlite3.OperationalError as end:
        if end.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return (), False
    return tuple(line for (text,) in told for line in text.splitlines() if line != "ok"), True


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows by table, as far as the time allows."""
    counted: dict[str, int] = {}
    for table in _tables(connection):
        try:
            (counted[table],) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
        except sqlite3.OperationalError as end:
            if end.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            break
    return counted


def _size_of_log(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return log.stat().st_size if log.exists() else 0


def newest_rows(state: Path, limit: int, seconds: float) -> dict[str, list[dict[str, object]]]:
    """The newest rows of each table, oldest first; what is no text or number is left out.

    Raises EdgeError where the database cannot be read.
    """
    path = state / FILE
    end = monotonic() + seconds
    with disk_errors(path):
        connection = connect(path, "ro")
        try:
            connection.row_factory = sqlite3.Row
            connection.set_progress_handler(lambda: monotonic() > end, _STEPS)
            return {table: _newest(connection, table, limit) for table in _tables(connection)}
        finally:
            connection.close()


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return [str(row[0]) for row in found]


def _newest(connection: sqlite3.Connection, table: str, limit: int) -> list[dict[str, object]]:
    keyed = connection.execute(f'SELECT * FROM "{table}" LIMIT 0').description
    order = f'"{keyed[0][0]}" DESC'  # every table's first column is its key
    rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY {order} LIMIT ?', (limit,))
    found = [
        {name: row[name] for name in row.keys() if not isinstance(row[name], bytes)}  # noqa: SIM118
        for row in rows
    ]
    return found[::-1]
