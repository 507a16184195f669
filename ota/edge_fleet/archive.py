"""Everything that was received, in one SQLite file; each message once.

Rules: a batch is one transaction, on the disk (`synchronous=FULL`) when `keep` returns; only then
may a broker be told, or a receipt be written. A message is known by (device, store, seq), and by
its id; whatever comes again changes nothing. Read `completeness.py` next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from edge_agent.errors import EdgeError, NoRoom, Refused, UsageError
from edge_agent.policy.stick import Waiting
from edge_fleet import devices, entries
from edge_fleet.completeness import Heard
from edge_fleet.decide import Report
from edge_fleet.devices import Device
from edge_fleet.entries import Rejected
from edge_fleet.heard import conflicts, heard
from edge_fleet.message import Message
from edge_fleet.migrate import migrate

APPLICATION_ID = 0x45444646
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a batch. `conflicting`: another message bears that number already."""

    new: int = 0
    repeated: int = 0
    conflicting: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """One store of one device, and what is known of it."""

    device: str
    store: str
    heard: Heard
    conflicts: int


def open_archive(path: Path) -> Archive:
    """Open the file, or make it. Raises UsageError, Refused, NoRoom, EdgeError."""
    with archive_errors(path):
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}", "name another: --store")
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rwc", uri=True, isolation_level=None, timeout=PATIENCE_S
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return Archive(path, connection)


class Archive:
    """Used by one thread. A context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def keep(
        self,
        messages: Sequence[Message],
        via: str,
        now: float,
        rejected: Sequence[Rejected] = (),
    ) -> Kept:
        """All of it is on the disk on return, or nothing is. Raises NoRoom, EdgeError."""
        with self._transaction() as connection:
            outcomes = [
                entries.keep(connection, message, via, now)
                if message.seq is not None
                else entries.latest(connection, message, now)
                for message in messages
            ]
            entries.reject(connection, rejected, now)
        if any(each.loss is not None and each.loss.reason == entries.ERASED for each in messages):
            # Nothing of it stays in the log, either; a reader in the way delays that.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return Kept(*(outcomes.count(word) for word in ("new", "repeated", "conflicting")))

    def waits(self, device: str, store: str, waiting: Waiting, told: str, now: float) -> None:
        """What the device said on a stick that it still holds; `health` may know better since."""
        with self._transaction() as connection:
            stream = entries.stream_of(connection, device, store, now)
            newer = connection.execute(
                "SELECT 1 FROM streams WHERE n = ? AND told > ?", (stream, told)
            ).fetchone()
            entries.told_by(connection, stream, waiting, "" if newer else told)

    def streams(self) -> tuple[Stream, ...]:
        """Every store of every device, by device, then as they were first heard of."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT n, device, store, depth, oldest_seq, newest_seq, last_seq FROM streams"
                " ORDER BY device, n"
            ).fetchall()
            return tuple(
                Stream(
                    device, store, heard(connection, n, Waiting(*told)), conflicts(connection, n)
                )
                for n, device, store, *told in rows
            )

    def refused(self) -> int:
        """How many payloads were no message (of those that are kept)."""
        with self._reading() as connection:
            found: int = connection.execute("SELECT count(*) FROM refused").fetchone()[0]
        return found

    def enroll(self, name: str, tags: Mapping[str, str], now: float) -> bool:
        """A device is expected from now on; whether it is new."""
        with self._transaction() as connection:
            return devices.enroll(connection, name, tags, now)

    def dismiss(self, name: str) -> bool:
        """A device is expected no more; whether it was."""
        with self._transaction() as connection:
            return devices.dismiss(connection, name)

    def devices(self) -> tuple[Device, ...]:
        """Who is enrolled or was heard of, by name."""
        with self._reading() as connection:
            return devices.devices(connection)

    def reports(self, rollout: str, sha256: str) -> tuple[Report, ...]:
        """What devices said of one rollout and its very target."""
        with self._reading() as connection:
            return tuple(devices.reports(connection, rollout, sha256))

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with archive_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One moment of the archive, while a collector goes on writing."""
        with archive_errors(self._path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def archive_errors(path: Path) -> Iterator[None]:
    """Raise NoRoom or EdgeError, naming the archive, for what the disk refuses inside."""
    try:
        yield
    except sqlite3.Error as error:
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:
            case sqlite3.SQLITE_FULL:
                raise NoRoom(
                    f"no space is left for {path}", "free some space; see: df -h"
                ) from error
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                raise EdgeError(
                    f"{path} is damaged: {error}", "move it away, collect anew"
                ) from error
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                raise UsageError(
                    f"{path} cannot be written: {error}", "name another: --store"
                ) from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_IOERR:
                raise EdgeError(f"{path}: {error}", "find who uses it with: fuser FILE") from error
        raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise Refused(f"{path} belongs to another program", "name another file: --store")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON").fetchone()
    if not tables:
        script = Path(__file__).with_name("schema.sql").read_text("utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nCOMMIT;")
    migrate(connection)
