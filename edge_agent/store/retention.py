"""The store holds its quota, its age limits and the free floor of the disk; a full disk is emptied.

Rules: little at a time, each batch one transaction, so that writers wait for milliseconds. The file
gives space back only where the quota needs it: a page that is reused costs no write. A full disk
cannot be pruned in WAL mode, because deleting writes too: hence the reserve, a file that is given
back first. Read `eviction.py` for what goes.
"""

from __future__ import annotations

import os
import sqlite3
import time as clock
from collections.abc import Collection
from functools import partial
from pathlib import Path

from edge_agent.frozen import frozen
from edge_agent.store import clocks, eviction, sparing
from edge_agent.store.db import Database
from edge_agent.store.disk import disk_errors, store_file
from edge_agent.store.eviction import AGED_EVIDENCE, HARMLESS, PAINFUL, SENT, Evict, Sweep
from edge_agent.store.evidence import FOLDER
from edge_agent.store.outbox import Outbox
from edge_agent.store.rows import Identity

MB = 1024 * 1024
#: Eviction begins at the quota and ends below this share of it, so that it is not always at work.
ENOUGH = 0.97
#: Rows of a transaction; fewer of what somebody may miss, so that no more goes than has to, and
#: on a full disk, where the log has little room.
BATCH, SMALL_BATCH = 100, 40
#: Bytes that are given back to the disk at a time: each free page moves another.
GIVEN_BACK = 2 * MB
#: Between two transactions, or whoever waits for the lock would hardly ever get it.
BREATH_S = 0.002
#: The longest that one look works, seconds; what is left is done by the next.
BUDGET_S = 0.5
#: The floor of the disk takes no more than this share of the quota from us: others fill disks too.
LEAST = 0.1
RESERVE = "reserve"
#: Twice the log, which must fit into the database.
RESERVE_BYTES = 4 * MB
#: Of a small disk the reserve is such a part.
RESERVE_PART = 8
AGE_EVERY_S = 60.0
COUNT_EVERY_S = 3600.0


@frozen
class Limits:
    """In bytes and seconds."""

    quota: int
    keep_s: float
    evidence_keep_s: float
    floor: int


@frozen
class Usage:
    """Bytes: `live` pages of the database, its `file` with the free ones, its log, the pictures."""

    live: int
    file: int
    log: int
    evidence: int
    free: int  # on the disk, for us

    @property
    def used(self) -> int:
        return self.live + self.log + self.evidence

    @property
    def on_disk(self) -> int:
        return self.file + self.log + self.evidence


class _Nothing(Exception):
    """A sweep found nothing: its transaction is undone, so that it writes nothing."""


class Retention:
    """One thread uses it."""

    def __init__(self, database: Database, outbox: Outbox, identity: Identity) -> None:
        self._database = database
        self._outbox = outbox
        self._state = database.path.parent
        self._identity = identity
        self._cursors: dict[str, int] = {}
        self._counted_at = -COUNT_EVERY_S
        self._aged_at = -AGE_EVERY_S
        self._evidence = 0  # bytes
        self._seen = 0  # the last event whose pictures are counted
        self._orphans: set[Path] = set()  # pictures without an event when they were counted
        self.evicted = 0  # batches, for the tests and the log

    def look(self, limits: Limits, now: float) -> bool:
        """Do what is due; whether there is more. `now` is on this boot's own clock.

        Raises NoRoom or EdgeError when the disk takes no writes.
        """
        until = clock.monotonic() + BUDGET_S
        moment = clock.monotonic()
        if moment - self._counted_at >= COUNT_EVERY_S:
            self._count()
            self._counted_at = moment
            self._cursors = {key: n for key, n in self._cursors.items() if key == AGED_EVIDENCE}
        if moment - self._aged_at >= AGE_EVERY_S:
            if self._age(limits, now, until):
                return True
            self._aged_at = moment
        return self._hold(limits, now, until)

    def usage(self) -> Usage:
        """As it stands now."""
        with self._database.reading() as connection:
            self._count_new(connection)
            size, pages, free = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "page_count", "freelist_count")
            )
        disk = os.statvfs(self._state)
        log = _size(self._database.path.with_name(f"{self._database.path.name}-wal"))
        bavail = disk.f_bavail * disk.f_frsize
        return Usage((pages - free) * size, pages * size, log, self._evidence, bavail)

    # --- quota and floor -------------------------------------------------------------------------

    def _hold(self, limits: Limits, now: float, until: float) -> bool:
        usage = self.usage()
        quota, painful = limits.quota, True
        if usage.free < limits.floor:
            wanted = usage.on_disk - (limits.floor - usage.free)
            floor = max(wanted, int(LEAST * limits.quota))
            if floor < min(quota, usage.on_disk):
                quota, painful = floor, False
        busy = usage.used > quota
        while busy and usage.used > ENOUGH * quota:
            if clock.monotonic() > until:
                return True
            if not (
                self._evict_first(HARMLESS, now, BATCH)
                or (painful and self._evict_first(PAINFUL, now, SMALL_BATCH))
            ):
                break
            usage = self.usage()
        if usage.on_disk > quota and usage.file > usage.live:
            return self._shrink(usage.on_disk - int(ENOUGH * quota))
        return False

    def _evict_first(self, kinds: tuple[Evict, ...], now: float, batch: int) -> bool:
        """A batch of the first kind of which there is something, or a look for one."""
        for evict in kinds:
            for _ in range(2):  # a cursor at the end finds nothing once, and begins anew
                if self._sweep(evict, now, batch):
                    return True
        return False

    def _sweep(self, evict: Evict, now: float, batch: int) -> bool:
        """One transaction, or none where nothing is found, then the files of what it evicted."""
        with self._database.lock:
            try:
                with self._database.transaction() as connection:
                    acknowledged = self._outbox.write_waiting(connection)
                    self._look_again_from(self._outbox.take_lowest_sent())
                    sweep = Sweep(connection, self._identity, now, batch, self._cursors)
                    found = evict(sweep)
                    if not found:
                        raise _Nothing
            except _Nothing:
                return False
            self._outbox.forget(acknowledged)
        for path in sweep.files:
            self._remove(self._state / path)
        self.evicted += 1
        clock.sleep(BREATH_S)
        return True

    def _look_again_from(self, seq: int | None) -> None:
        """This row was sent, and maybe more behind it."""
        if seq is not None:
            self._cursors[SENT] = min(self._cursors.get(SENT, 0), seq - 1)

    def _shrink(self, wanted: int) -> bool:
        """Give free pages back to the disk; the file is cut at the next checkpoint. Whether there
        are more to give."""
        self._database.commit()
        with self._database.reading() as connection:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            # As a script: `execute` would take one step of it, which is one page.
            pages = min(wanted, GIVEN_BACK) // size + 1
            connection.executescript(f"PRAGMA incremental_vacuum({pages})")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return wanted > GIVEN_BACK

    # --- age -------------------------------------------------------------------------------------

    def _age(self, limits: Limits, now: float, until: float) -> bool:
        """Whether something is left to do."""
        kinds = (
            (eviction.aged_evidence, limits.evidence_keep_s),
            (eviction.aged, limits.keep_s),
        )
        for evict, keep_s in kinds:
            with self._database.reading() as connection:
                before = clocks.aged(connection, self._identity.boot, now, keep_s)
            if before is None:
                continue
            while self._sweep(partial(evict, before=before), now, BATCH):
                if clock.monotonic() > until:
                    return True
        return False

    # --- a spent budget --------------------------------------------------------------------------

    def spare(self, now: float, doubtful: Collection[int]) -> bool:
        """Make less of what waits to leave by MQTT (`sparing.py`); whether any of it went.

        Raises as `look`.
        """
        until, found = clock.monotonic() + BUDGET_S, False
        while clock.monotonic() < until:
            if not self._sweep(partial(sparing.spare, doubtful=doubtful), now, BATCH):
                break
            found = True
        return found

    # --- a full disk -----------------------------------------------------------------------------

    def make_room(self, now: float) -> bool:
        """The disk is full: give the reserve back, and evict what nobody waits for.

        True when there is room again, and the reserve is kept anew. Raises as `look`.
        """
        reserve = self._state / RESERVE
        self._remove(reserve)
        need = 2 * self._reserve_bytes()
        while self.usage().free < need:
            if not self._evict_first(HARMLESS, now, SMALL_BATCH):
                break
            self._cut()
        self._cut()
        if self.usage().free < need:
            return False
        self.keep_reserve()
        return True

    def keep_reserve(self) -> None:
        """Have the reserve on the disk, where there is room for it. Raises NoRoom or EdgeError."""
        reserve, size = self._state / RESERVE, self._reserve_bytes()
        if _size(reserve) < size:
            store_file(reserve, os.urandom(size))  # a card that compresses must not save it

    def _reserve_bytes(self) -> int:
        disk = os.statvfs(self._state)
        return min(RESERVE_BYTES, disk.f_blocks * disk.f_frsize // RESERVE_PART)

    def _cut(self) -> None:
        """Everything free leaves the file, and the log is emptied. Raises as `look`."""
        self._database.commit()
        with self._database.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.executescript("PRAGMA incremental_vacuum")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # --- pictures --------------------------------------------------------------------------------

    def _count(self) -> None:
        """Count the pictures on the disk. Those without an event are removed the second time:
        one may wait for its event, and no file's date is believed."""
        with self._database.reading() as connection:
            (self._seen,) = connection.execute("SELECT coalesce(max(n), 0) FROM events").fetchone()
        total, orphans = 0, self._orphans
        self._orphans = set()
        for path in sorted((self._state / FOLDER).glob("*/*/*")):
            with disk_errors(path):
                found = path.stat()
            known = self._is_known(path)
            if not known and path in orphans:
                self._remove(path)
                continue
            if not known:
                self._orphans.add(path)
            total += found.st_size
        self._evidence = total

    def _is_known(self, path: Path) -> bool:
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM events WHERE id = ? AND evidence <> '[]'", (path.name.split(".")[0],)
            ).fetchone()
        return row is not None

    def _count_new(self, connection: sqlite3.Connection) -> None:
        """Those that came since."""
        rows = connection.execute(
            "SELECT n, evidence FROM events WHERE n > ? ORDER BY n", (self._seen,)
        ).fetchall()
        for number, evidence in rows:
            self._seen = number
            for path in eviction.paths(evidence):
                self._evidence += _size(self._state / path)

    def _remove(self, path: Path) -> None:
        size = _size(path)
        with disk_errors(path):
            path.unlink(missing_ok=True)
        if path.parent != self._state:
            self._evidence = max(0, self._evidence - size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
