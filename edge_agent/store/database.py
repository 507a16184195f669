"""One connection to the database behind one lock: transactions, and what is deferred.

Rules: a transaction that returned is on the disk, in the database with `synchronous=FULL`, or,
within `deferred`, in the redo log: then SQLite's own transaction stays open, each of ours is a
savepoint of it, and the next one outside commits them all. Everything the disk may answer goes
through `disk_errors`. Read `redo.py` for the log, `db.py` for opening, `record.py` next.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_agent.errors import Damaged, EdgeError
from edge_agent.store.disk import disk_errors
from edge_agent.store.redo import Connection, Group, RedoLog, Statement, group_of, next_group

HARDLY_S = 0.02
#: So many records at most, then a commit: an hour of the default `flush_s`.
MOST_RECORDS = 60


class Database:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path, connection: Connection, reopen: Callable[[], Database]) -> None:
        """`reopen`: the file that bears the name now may be another one (renew.py)."""
        self._reopen = reopen
        self.path = path
        self.connection = connection
        self.lock = threading.RLock()
        self._file = inode(path)
        self._redo = RedoLog(path)
        self._group: Group | None = None  # of what is deferred, and its statements,
        self._journal: list[Statement] = []
        self._records = self._saved = self._mark = 0  # of these the saved ones
        self._is_deferring = False
        self.is_inside = False  # a transaction of the thread that has the lock is under way
        self._patience_s: float | None = None
        self._is_hasty = False
        (self.log_pages,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        self.log_index = LogIndex(path)
        self.refusal: EdgeError | None = None  # why the disk took no writes at the last attempt

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is on the disk when it returns, or nothing is, and with it what was
        deferred before; within `deferred` it becomes a part of that.

        Raises NoRoom, EdgeError, or sqlite3.IntegrityError where a rule of the schema is broken.
        """
        with self.lock, self._noted(), disk_errors(self.path):
            self._enter()
            before = self.connection.total_changes
            try:
                yield self.connection
                changed = self.connection.total_changes != before
                self._leave(changed)
            except BaseException:
                self._undo()
                raise
            finally:
                self.is_inside, self.connection.journal = False, None
            if changed:
                self.refusal = None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Transactions inside are on the disk when it returns, too, but in the redo log: the next
        one outside commits them. Meanwhile only this process can write, or see them.

        A disk that has just refused something is asked for commits, so that it shows.
        """
        with self.lock:
            is_sound = self._group is None or self.connection.in_transaction
            self._is_deferring = self.refusal is None and is_sound
            try:
                yield
            finally:
                if self._is_deferring:
                    self._is_deferring = False
                    with self._noted(), disk_errors(self.path):
                        self._write_down()

    @property
    def has_deferred(self) -> bool:
        """What was written is not all committed: only this connection sees it."""
        return self._group is not None

    def commit(self) -> None:
        """What was deferred goes into the database. Raises as `transaction`."""
        with self.lock, self._noted(), disk_errors(self.path):
            if self._group is not None:
                self._enter_again()
                self._commit()

    # --- the group of what was deferred ----------------------------------------------------------

    def _enter(self) -> None:
        self._enter_again()
        if self._group is None and self._is_deferring:
            self._group = group_of(self.connection)
            self._journal, self._records, self._saved = [], 0, 0
            self._redo.begin()
        if self._group is not None:
            self._mark = len(self._journal)
            self.connection.execute("SAVEPOINT step")
            self.connection.journal = self._journal
        self.is_inside = True

    def _enter_again(self) -> None:
        """The database is ours, with what was deferred in it."""
        if not self.connection.in_transaction:
            self._begin()
            if self._group is not None:
                self._do_again()

    def _leave(self, changed: bool) -> None:
        if self._group is None:
            self.connection.execute("COMMIT")
        elif self._is_deferring or not changed:
            self.connection.execute("RELEASE step")
        else:
            self._commit()

    def _undo(self) -> None:
        """SQLite may have rolled back by itself (disk full); a failed COMMIT has not."""
        if self._group is not None:
            del self._journal[self._mark :]
        if not self.connection.in_transaction:
            return
        if self._group is None:
            self.connection.execute("ROLLBACK")
        else:
            self.connection.execute("ROLLBACK TO step")
            self.connection.execute("RELEASE step")

    def _commit(self) -> None:
        assert self._group is not None
        try:
            next_group(self.connection, self._group)
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise  # the group is done again before the next transaction
        self._group = None
        self.refusal = None

    def _do_again(self) -> None:
        """A commit of the group has failed. Meanwhile another process may have found its records,
        and done them."""
        try:
            if (now := group_of(self.connection)) != self._group:
                del self._journal[: self._saved]
                self._group, self._records, self._saved = now, 0, 0
                self._redo.begin()
            self.connection.again(self._journal)
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def _write_down(self) -> None:
        """The end of `deferred`: a record of what is new, or the group's commit."""
        if self._group is None:
            return
        if not self._journal:
            self.connection.execute("ROLLBACK")
            self._group = None
        elif new := self._journal[self._saved :]:
            if self.connection.in_transaction and self._is_down(self._group, new):
                self._saved = len(self._journal)
            else:
                self.commit()

    def _is_down(self, group: Group, statements: list[Statement]) -> bool:
        self._records += 1
        if self._records > MOST_RECORDS:
            return False
        with suppress(OSError):  # the commit will say what the disk says
            return self._redo.append(group, statements)
        return False

    def take(self, other: Database) -> None:
        """Go on with the other one's connection, to the file that bears the name now."""
        self.connection, self._file = other.connection, other._file
        if self._patience_s is not None:
            self._set_patience(self._patience_s)

    @contextmanager
    def _noted(self, kind: type[EdgeError] = EdgeError) -> Iterator[None]:
        """Keep what the disk says until it takes something again."""
        try:
            yield
        except kind as refusal:
            if refusal.__cause__ is not None:  # the disk's word, not a rule of ours
                self.refusal = refusal
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self.lock, self.noting_damage():
            yield self.connection

    @contextmanager
    def noting_damage(self) -> Iterator[None]:
        """Around every read of the file, on whatever connection. Raises EdgeError, Damaged."""
        with self._noted(Damaged), disk_errors(self.path):
            yield

    @contextmanager
    def writing_aside(self) -> Iterator[None]:
        """Around what writes to the file on another connection. Raises NoRoom, EdgeError."""
        with self._noted(), disk_errors(self.path):
            yield

    def wait_at_most(self, seconds: float) -> None:
        """For another process that writes. Only once: as long as it keeps the file locked the next
        ones, of whatever thread, hardly wait; one after the other they would take many times it.
        """
        self._patience_s = seconds
        with self.lock, disk_errors(self.path):
            self._set_patience(seconds)

    def _begin(self) -> None:
        self._lock_file()
        while inode(self.path) not in (self._file, None):  # see renew.py
            old = self.connection
            self.take(self._reopen())
            old.close()
            self._lock_file()

    def _lock_file(self) -> None:
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            if self._patience_s is not None:
                self._set_patience(HARDLY_S)
            raise
        if self._patience_s is not None and self._is_hasty:
            self._set_patience(self._patience_s)

    def _set_patience(self, seconds: float) -> None:
        self._is_hasty = seconds == HARDLY_S
        self.connection.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")

    def wipe_redo(self) -> None:
        """Within a transaction: nothing of what was ever deferred stands in the file any more."""
        self._redo.wipe()

    def close(self) -> None:
        with self.lock, disk_errors(self.path):
            try:
                self.commit()
            finally:
                self._redo.close()
                self.connection.close()
                self.log_index.close()


class LogIndex:
    """The first bytes of the log's index, for `wal.py`. It stays open: closing it would take away
    the locks that SQLite has on it for this process (https://www.sqlite.org/howtocorrupt.html)."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-shm")
        self._file: int | None = None

    def read(self, size: int) -> bytes:
        """Empty where there is no index yet."""
        here = inode(self._path)
        if self._file is not None and here != os.fstat(self._file).st_ino:
            self.close()  # the database went on in a new file (renew.py)
        if self._file is None and here is not None:
            self._file = os.open(self._path, os.O_RDONLY)
        return b"" if self._file is None else os.pread(self._file, size, 0)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def inode(path: Path) -> int | None:
    """Which file bears the name now."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
