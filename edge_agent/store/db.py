"""The database file: opening it, its settings, its identity.

Rules: WAL with `synchronous=FULL`: a commit that returned is on the disk. A file that a newer
version wrote, or that is not ours, is looked at read-only and refused. What a crash left in the
redo log is done before anything else. Read `database.py` next.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import uuid
from pathlib import Path
from urllib.parse import quote

from edge_agent.durable import make_folder
from edge_agent.errors import Damaged, EdgeError, Refused
from edge_agent.frozen import frozen
from edge_agent.store import redo
from edge_agent.store.database import Database as Database
from edge_agent.store.database import inode as inode
from edge_agent.store.disk import check_writable, disk_errors
from edge_agent.store.migrate import LATEST, migrate, version
from edge_agent.store.redo import Connection
from edge_agent.store.rows import Identity

FILE = "edge.db"
APPLICATION_ID = 0x45444745  # "EDGE", as schema.sql sets it
#: Seconds to wait for another process that writes.
PATIENCE_S = 5.0
#: The key of `meta` that holds what was written to the disk, hour by hour.
WEAR = "wear"
#: The service waits no longer: what it cannot write yet it keeps, and goes on watching.
SERVICE_PATIENCE_S = 1.0
#: The log of a small disk is no larger than such a part of it: what stands in it must still fit
#: into the database when the disk is full.
LOG_PART = 16


@frozen
class Tuning:
    """How SQLite writes. The defaults are what benchmarks/store_writes.py found to wear least.

    A commit writes whole pages: small ones cost a third of what large ones do. The log is copied
    into the database (and begins anew) every `checkpoint_pages`: a page that changed ten times in
    between is copied once. 4000 pages are 2 MB and just fit one block of the log's index.
    """

    page_size: int = 512
    checkpoint_pages: int = 4000


TUNING = Tuning()


def open_database(state: Path, tuning: Tuning = TUNING) -> Database:
    """Open `state`/edge.db for writing; make folder and file where absent, migrate an older one.

    Raises Refused (newer, or another program's file; it is left untouched), UsageError, NoRoom,
    EdgeError.
    """
    path = state / FILE
    with disk_errors(path):
        make_folder(state, 0o700)
        for each in (state, path):
            if each.exists():
                check_writable(each)
        refuse_strangers(path)
        fresh = not path.exists()
        connection = connect(path, "rwc")
        try:
            _configure(connection, path, tuning)
            _finish(connection, path)
            migrate(connection)
            _mint(connection)
        except BaseException:
            connection.close()
            if fresh and path.exists() and path.stat().st_size == 0:
                path.unlink()  # the disk was full before anything stood in it
            raise
    return Database(path, connection, lambda: open_database(state, tuning))


def _finish(connection: Connection, path: Path) -> None:
    """Do what a crash left in the redo log; that of an agent at work is its own."""
    if not redo.waits(connection, path):
        return
    try:
        held = hold(path.parent)
    except EdgeError:
        return
    try:
        redo.finish(connection, path)
    finally:
        os.close(held)


def connect(path: Path, mode: str, extra: str = "") -> Connection:
    """A connection without Python's own transactions; `mode` is ro, rw or rwc."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}{extra}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=PATIENCE_S,
        factory=Connection,
    )


def refuse_strangers(path: Path) -> None:
    """Raise Refused for a file of a newer version or of another program, without writing to it.

    The header says it, unless the truth still stands in a log or journal beside it, or nothing is
    in the file yet: then SQLite is asked.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    if read_header(path) != APPLICATION_ID or _has_more(path, "-wal"):
        # Only a power cut while the file was being made leaves a journal; its first reader plays
        # it back, and must be allowed to.
        connection = connect(path, "rw" if _has_more(path, "-journal") else "ro")
        try:
            refuse_contents(path, connection)
        finally:
            connection.close()


def read_header(path: Path) -> int | None:
    """The application id in the header (https://sqlite.org/fileformat2.html, offset 68).

    None where the power failed while the header was being written and a log or journal holds it
    whole. Raises Refused when its version (offset 60) is newer, EdgeError when this is no database.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\0"):
        if _has_more(path, "-wal") or _has_more(path, "-journal"):
            return None
        raise Damaged(
            f"{path} is damaged, or not an SQLite database",
            "start the agent: it sets the file aside and carries over what can be read",
        )
    number, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    if number > LATEST:
        raise _newer(path, number)
    return application


def _has_more(path: Path, ending: str) -> bool:
    beside = path.with_name(path.name + ending)
    return beside.exists() and beside.stat().st_size > 0


def refuse_contents(path: Path, connection: sqlite3.Connection) -> None:
    """As `refuse_strangers`, by what SQLite reads, the log included."""
    if (number := version(connection)) > LATEST:
        raise _newer(path, number)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and tables:
        raise Refused(
            f"{path} belongs to another program",
            "name another state directory with --state",
        )


def _newer(path: Path, number: int) -> Refused:
    return Refused(
        f"{path} was written by a newer edge-agent (schema {number}, this one knows {LATEST})",
        "install that version again, or name another state directory with --state",
    )


def _configure(connection: sqlite3.Connection, path: Path, tuning: Tuning) -> None:
    """The settings; page_size and auto_vacuum only count while the file is new.

    A tenth more is written so that free pages can be given back to the disk without a copy.
    """
    connection.execute(f"PRAGMA page_size = {tuning.page_size}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal != "wal":
        raise EdgeError(
            f"the file system of {path} cannot share memory between processes (no WAL)",
            "put the state directory on a local disk",
        )
    connection.execute("PRAGMA synchronous = FULL")
    pages = min(tuning.checkpoint_pages, max(64, _disk_size(path) // LOG_PART // tuning.page_size))
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    connection.execute(f"PRAGMA journal_size_limit = {2 * pages * tuning.page_size}")
    connection.execute("PRAGMA temp_store = MEMORY")
    # Overwrite what was deleted only where that writes no further page.
    connection.execute("PRAGMA secure_delete = FAST")


def _disk_size(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_blocks * disk.f_frsize


def _mint(connection: sqlite3.Connection) -> None:
    """A new store gets its name; an old one keeps it."""
    if not has_name(connection):
        connection.execute(
            "INSERT OR IGNORE INTO meta VALUES ('store', ?), ('boot', 0)", (str(uuid.uuid4()),)
        )


def has_name(connection: sqlite3.Connection) -> bool:
    """False while the store is just being made."""
    return connection.execute("SELECT 1 FROM meta WHERE key = 'store'").fetchone() is not None


def identity(connection: sqlite3.Connection) -> Identity:
    found = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('store', 'boot')"))
    return Identity(store=found["store"], boot=found["boot"])


def device(connection: sqlite3.Connection) -> str | None:
    """The id that the last agent on this store sent under."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'device'").fetchone()
    return found[0] if found else None


def kept_wear(connection: sqlite3.Connection) -> str:
    """The account of what was written to the disk (policy/wear.py); an empty one at first."""
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (WEAR,)).fetchone()
    return str(found[0]) if found else "[]"


def hold(state: Path) -> int:
    """Be the one service on this state directory, as long as the returned file is open.

    The lock lies on the folder itself and dies with the process. Raises EdgeError when another
    process has it.
    """
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise EdgeError(
            f"another edge-agent is running on {state}",
            "stop it, or give this one its own directory with --state",
        ) from None
    return folder
