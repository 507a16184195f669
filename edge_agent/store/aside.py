"""A second connection that only reads: what leaves is read while the first one waits for the disk.

Rules: it sees what is committed, as any reader does, and never waits for a writer; one short read
at a time, under a lock of its own. It follows the database into a new file (`renew.py`). Read
`outbox.py` next.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge_agent.store.db import Database, connect, inode

#: Its own cache; the rows of a queue are read once. SQLite's unit: minus kibibytes.
CACHE = -256


class Aside:
    """Opened at the first read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file: int | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Raises EdgeError; what it says of a damaged file is noted as by `Database.reading`."""
        with self._lock, self._database.noting_damage():
            yield self._open()

    def close(self) -> None:
        with self._lock, self._database.noting_damage():
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        path = self._database.path
        here = inode(path)
        if self._connection is not None and here in (self._file, None):
            return self._connection
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        connection = connect(path, "rw")  # a log that was just begun may need its index rebuilt
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = {CACHE}")
        self._connection, self._file = connection, here
        return connection
