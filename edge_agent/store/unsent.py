"""How many messages wait, without counting them: a number that every transaction carries along.

Rules: temporary triggers of the one writing connection keep it, in memory, so it is rolled back
with what it counts and costs no byte on the disk. What another process changed (`events erase`,
`outbox ack`) shows in SQLite's data version, and then, as at the start, the rows are counted once:
45 ms for a million. Read `outbox.py` next.
"""

from __future__ import annotations

import sqlite3

from edge_agent.store.db import Database

_KEEP = (
    "CREATE TEMP TABLE unsent (n INTEGER NOT NULL)",
    "INSERT INTO temp.unsent VALUES (0)",
    "CREATE TEMP TRIGGER outbox_comes AFTER INSERT ON main.outbox WHEN new.sent IS NULL"
    " BEGIN UPDATE unsent SET n = n + 1; END",
    "CREATE TEMP TRIGGER outbox_goes AFTER DELETE ON main.outbox WHEN old.sent IS NULL"
    " BEGIN UPDATE unsent SET n = n - 1; END",
    "CREATE TEMP TRIGGER outbox_changes AFTER UPDATE OF sent ON main.outbox"
    " WHEN (old.sent IS NULL) <> (new.sent IS NULL)"
    " BEGIN UPDATE unsent SET n = n + (new.sent IS NULL) - (old.sent IS NULL); END",
)
_IS_KEPT = "SELECT count(*) FROM sqlite_temp_master WHERE name = 'unsent'"
_COUNT = "UPDATE temp.unsent SET n = (SELECT count(*) FROM main.outbox WHERE sent IS NULL)"


class Unsent:
    """Any thread may ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version = 0  # what the connection had seen of others when the rows were counted
        self._known: int | None = None

    def count(self) -> int:
        """As of the last transaction; while one waits for the disk, of the one before it."""
        lock = self._database.lock
        if lock.acquire(blocking=self._known is None):
            try:
                with self._database.reading() as connection:
                    if self._known is None or not self._database.is_inside:
                        self._known = self._read(connection)
            finally:
                lock.release()
        assert self._known is not None  # the first call waited for the lock
        return self._known

    def _read(self, connection: sqlite3.Connection) -> int:
        # The version first: what comes between the two is then counted once more, never missed.
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        (is_kept,) = connection.execute(_IS_KEPT).fetchone()
        if not is_kept:  # a new connection, or rolled back with what was deferred
            for statement in _KEEP:
                connection.execute(statement)
        if not is_kept or version != self._version:
            connection.execute(_COUNT)
        self._version = version
        (count,) = connection.execute("SELECT n FROM temp.unsent").fetchone()
        return int(count)
