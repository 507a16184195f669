"""The database goes on in a new file, where a reader that never ends lets its log grow.

SQLite cannot begin its log anew while anybody reads an old state of it. So everything is copied
into a new file, which then takes the place of the old one: that reader keeps its old files, which
nobody writes any more, and the disk has them back when it ends.

Rules: the copy is complete and synced before its name becomes `edge.db.next`; from then on it is
the truth, and a crash finishes the exchange at the next start. Only the service, which holds the
directory, exchanges; every other writer notices (`Database.transaction`). A reader that closes its
old file leaves the new log alone: SQLite looks whether its file has moved.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edge_agent.durable import sync, sync_folder
from edge_agent.store.db import FILE, TUNING, Database, connect, open_database
from edge_agent.store.disk import disk_errors

log = logging.getLogger("edge_agent.store")

NEXT = f"{FILE}.next"
PART = f"{FILE}.part"
#: The log may grow to this, or to a quarter of the database: copying it costs as much as its size.
LOG_BYTES = 16 * 1024 * 1024
LOG_SHARE = 4


def hold_log(database: Database, limit: int = LOG_BYTES) -> bool:
    """Where the log is too large: empty it, or go on in a new file; whether that was needed.

    The service alone calls it. Raises NoRoom or EdgeError.
    """
    path = database.path
    size = _size(path.with_name(f"{FILE}-wal"))
    if size <= max(limit, _size(path) // LOG_SHARE):
        return False
    with database.lock:
        database.commit()
        with database.reading() as connection:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            return False
        log.warning(
            "a program reads the database without end; it goes on in a new file"
            " log_bytes=%d find=%r", size, f"fuser {path}",
        )  # fmt: skip
        _exchange(database)
    return True


def finish(state: Path) -> None:
    """A crash came between the copy and its taking the place. The caller holds the directory."""
    with disk_errors(state / NEXT):
        (state / PART).unlink(missing_ok=True)
        if (state / NEXT).exists():
            for ending in ("-wal", "-shm"):
                (state / f"{FILE}{ending}").unlink(missing_ok=True)
            (state / NEXT).rename(state / FILE)
            sync_folder(state)


def _exchange(database: Database) -> None:
    state, old = database.path.parent, database.connection
    with database.transaction():  # no other writer meanwhile
        _copy(database.path, state / PART)
        with disk_errors(state / NEXT):
            (state / PART).rename(state / NEXT)
            sync_folder(state)
        finish(state)
        renewed = open_database(state, TUNING)
    database.take(renewed)
    old.close()


def _copy(path: Path, part: Path) -> None:
    """The whole present state, in a file without a log, on the disk."""
    with disk_errors(part):
        part.unlink(missing_ok=True)
        reader = connect(path, "ro")
        try:
            reader.execute("VACUUM INTO ?", (str(part),))
        finally:
            reader.close()
        writer = connect(part, "rw")
        try:
            writer.execute("PRAGMA journal_mode = WAL").fetchall()
        finally:
            writer.close()
        sync(part)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
