"""`edge.db-redo`: what is written down, but not committed yet, so that an idle hour wears little.

A commit of one row writes 30 kB: its pages, and those of the log's index that it touched. The same
statements, packed, are one kilobyte here. So while nothing happens the database's transaction stays
open (`db.py`, `Database.deferred`), each of its steps goes into this file, and the next commit
takes all of them along. After a crash, whoever opens the database does them again first.

Rules: a record counts only for the state that the database was in when its group began: that of the
store's name and of the number under `redo` in `meta`, which the group's commit raises. So nothing
is ever removed here; the next group writes over it. As long as a group is open the database is
locked, so nobody can have written in between. Read docs/decisions/0011-redo.md for why.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from edge_agent.durable import sync_folder
from edge_agent.frozen import frozen

ENDING = "-redo"
#: Where the number of the next group stands in `meta`.
KEY = "redo"
#: What is written is a multiple of it: a sector goes to the disk alone where the disk allows.
SECTOR, PAGE = 512, 4096
#: A group that does not fit is committed.
MOST_BYTES = 32 * PAGE
_MAGIC = b"redo"
#: Magic, crc of the rest, store, group, index, the sector that it was rounded up to, length.
_HEADER = struct.Struct("<4sI36sQIII")
_CRC = struct.Struct("<4sI")

_CHANGES = ("INSERT", "UPDATE", "DELETE")

#: SQL and its values.
Statement: TypeAlias = tuple[str, Any]


class Connection(sqlite3.Connection):
    """Notes what changes rows while `journal` is a list."""

    journal: list[Statement] | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        self._note(sql, (parameters,))
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        rows = list(parameters)
        cursor = super().executemany(sql, rows)
        self._note(sql, rows)
        return cursor

    def again(self, statements: Sequence[Statement]) -> None:
        """Do them once more, without noting them."""
        for sql, parameters in statements:
            super().execute(sql, parameters)

    def _note(self, sql: str, rows: Sequence[Any]) -> None:
        if self.journal is not None and sql.lstrip().startswith(_CHANGES):
            self.journal += [(sql, parameters) for parameters in rows]


@frozen
class Group:
    """Which state of which store the records follow."""

    store: str
    number: int


def group_of(connection: sqlite3.Connection) -> Group | None:
    """The one that may be written down now; None where the store is just being made."""
    try:
        rows = connection.execute("SELECT key, value FROM meta WHERE key IN ('store', ?)", (KEY,))
    except sqlite3.OperationalError:
        return None
    found = dict(rows.fetchall())
    return Group(found["store"], found.get(KEY, 0)) if "store" in found else None


def next_group(connection: Connection, group: Group) -> None:
    """What the group's commit says of it: its records are done with."""
    connection.again([("INSERT OR REPLACE INTO meta VALUES (?, ?)", (KEY, group.number + 1))])


# --- writing -------------------------------------------------------------------------------------


class RedoLog:
    """The file of one database, for the one that holds the database's lock."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ENDING)
        self._file: int | None = None
        self._sector = SECTOR
        self._at = 0
        self._index = 0

    def begin(self) -> None:
        """A new group: over what is there."""
        self._at = self._index = 0

    def append(self, group: Group, statements: Sequence[Statement]) -> bool:
        """On the disk when it returns; False where it must be committed instead: the file is full,
        or the disk takes only whole pages, which the next group will write. Raises OSError."""
        if self._file is None:
            self._open()
        record = _record((group, self._index, self._sector), statements)
        if self._at + len(record) > MOST_BYTES or not self._write(record):
            return False
        self._at += len(record)
        self._index += 1
        return True

    def _write(self, record: bytes) -> bool:
        assert self._file is not None
        with mmap.mmap(-1, len(record)) as memory:  # begins at a page, as O_DIRECT wants it
            memory[:] = record
            try:
                written = os.pwrite(self._file, memory, self._at)
            except OSError as refusal:
                if refusal.errno != errno.EINVAL or self._sector == PAGE:
                    raise
                self.close()
                self._sector = PAGE
                return False
        if written != len(record):
            raise OSError(errno.EIO, f"{written} of {len(record)} bytes were written")
        os.fdatasync(self._file)
        return True

    def _open(self) -> None:
        """Its blocks are there once and for all: a record changes no entry of the file system."""
        if not self._path.exists() or self._path.stat().st_size < MOST_BYTES:
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(bytes(MOST_BYTES))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._path.parent)
        if self._sector == SECTOR:
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_DIRECT)
                return
            except OSError:  # a file system that knows no way past the page cache
                self._sector = PAGE
        self._file = os.open(self._path, os.O_RDWR)
        # The kernel may keep a file in pieces of many pages, and writes such a piece whole.
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def wipe(self) -> None:
        """Overwrite everything that earlier groups left. Raises OSError."""
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.write(bytes(self._path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _record(place: tuple[Group, int, int], statements: Sequence[Statement]) -> bytes:
    """`place`: the group, the index in it, and to a multiple of what it is filled up."""
    group, index, sector = place
    body = zlib.compress(json.dumps(statements, ensure_ascii=False).encode())
    head = (group.store.encode(), group.number, index, sector, len(body))
    rest = _HEADER.pack(_MAGIC, 0, *head)[_CRC.size :] + body
    whole = _CRC.pack(_MAGIC, zlib.crc32(rest)) + rest
    return whole.ljust(-(-len(whole) // sector) * sector, b"\0")


# --- reading -------------------------------------------------------------------------------------


def waits(connection: sqlite3.Connection, database: Path) -> bool:
    """There is something that this database lacks."""
    group = group_of(connection)
    return group is not None and any(True for _ in records(database, group))


def finish(connection: Connection, database: Path) -> None:
    """Do what a crash kept from being committed. Raises sqlite3.Error, OSError."""
    if not waits(connection, database):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        group = group_of(connection)  # of now: somebody else may have been faster
        if group is not None:
            for statements in records(database, group):
                connection.again(statements)
            next_group(connection, group)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def records(database: Path, group: Group) -> Iterator[list[Statement]]:
    """The statements of each record of that group, up to the first that is not whole."""
    path = database.with_name(database.name + ENDING)
    data = b""
    with suppress(FileNotFoundError):
        data = path.read_bytes()
    at, index = 0, 0
    while (found := _record_at(data, at)) is not None:
        head, body = found
        if head[:3] != (group.store.encode(), group.number, index):
            return
        yield [(sql, values) for sql, values in json.loads(zlib.decompress(body))]
        end, sector = at + _HEADER.size + len(body), head[3]
        at = -(-end // sector) * sector
        index += 1


def _record_at(data: bytes, at: int) -> tuple[tuple[bytes, int, int, int], bytes] | None:
    """(store, group, index, sector) and the body of the record there; None where none is whole."""
    if len(data) < at + _HEADER.size:
        return None
    magic, crc, store, number, index, sector, length = _HEADER.unpack_from(data, at)
    rest = data[at + _CRC.size : at + _HEADER.size + length]
    if magic != _MAGIC or zlib.crc32(rest) != crc:
        return None
    return (store, number, index, sector), rest[_HEADER.size - _CRC.size :]
