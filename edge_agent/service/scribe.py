"""The thread that writes what nobody waits for: acknowledgements, and the log into the database.

Rules: the publisher hands over and goes on, so no disk holds up an alert; what the disk refuses
stands in the database and is tried again. Read `store/outbox.py` and `store/wal.py` next.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from edge_agent.errors import EdgeError
from edge_agent.store import wal
from edge_agent.store.record import Store

#: So often the log is looked at where nothing is sent.
LOOK_S = 0.5
#: Between two batches the lock is free: a recorder that waits for it comes in.
BREATH_S = 0.002


class Scribe:
    """One for a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, stop: threading.Event) -> None:
        outbox = self._store.outbox
        with outbox.attended():
            while not stop.wait(BREATH_S):
                if outbox.due.wait(LOOK_S):
                    outbox.due.clear()
                    self._write()
                self._relieve()

    def _write(self) -> None:
        if self._store.database.refusal is None:
            with suppress(EdgeError):  # it is the database's refusal now: `status` says it
                self._store.outbox.settle()

    def _relieve(self) -> None:
        if self._store.database.refusal is None:
            with suppress(EdgeError):  # the same
                wal.relieve(self._store.database)
