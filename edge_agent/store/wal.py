"""The log is copied into the database beside the writers, a little before SQLite would do it.

SQLite copies the log inside the commit that fills it: two megabytes and two syncs, for which an
alert would wait. So whoever has the time copies it earlier, on a connection of its own: a PASSIVE
checkpoint holds up no writer. What it leaves, the next full log takes; that is then little. How
much is to be copied stands in the log's index (https://www.sqlite.org/walformat.html, 2.1).

Rule: whoever closes a file of SQLite's takes away every lock that this process has on it, SQLite's
too (https://www.sqlite.org/howtocorrupt.html, 2.2). So the index stays open with the database.
"""

from __future__ import annotations

import struct
from contextlib import closing

from edge_agent.store.db import Database, connect

#: Of the pages at which SQLite copies by itself.
EARLY = 0.8
#: The first copy of the index's header: its version, and at 16 the last frame of the log.
_HEADER = struct.Struct("=I12xI")
#: How many frames are copied already.
_COPIED = struct.Struct("=I")
_COPIED_AT = 96
_VERSION = 3007000


def relieve(database: Database) -> bool:
    """Copy the log where it is about to be full; whether that was due. Raises NoRoom, EdgeError."""
    with database.writing_aside():
        if to_copy(database) < EARLY * database.log_pages:
            return False
        with closing(connect(database.path, "rw")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return True


def to_copy(database: Database) -> int:
    """Pages in the log that are not yet in the database; 0 where nobody can tell."""
    head = database.log_index.read(_COPIED_AT + _COPIED.size)
    if len(head) < _COPIED_AT + _COPIED.size:
        return 0
    version, last = _HEADER.unpack_from(head)
    (copied,) = _COPIED.unpack_from(head, _COPIED_AT)
    return max(0, last - copied) if version == _VERSION else 0
