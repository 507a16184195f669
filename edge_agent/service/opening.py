"""The service gets a store in all cases: the one on the disk, a salvaged one, or one in memory.

Rules: only what a person must decide stops the start (a newer version's database, wrong
permissions, another agent at work). A disk that is full, broken, read-only or locked does not: the
store then lies in memory, under a name of its own, until the disk takes writes again and what
waited was sent. Read `store/salvage.py` next.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from edge_agent.errors import EdgeError, NoRoom, ReadOnly, Refused, UsageError
from edge_agent.store.db import hold
from edge_agent.store.record import Store, Trouble, open_store
from edge_agent.store.retention import RESERVE
from edge_agent.store.salvage import open_sound

log = logging.getLogger("edge_agent.opening")

#: Where memory is a file system, in the order of preference.
MEMORY = ("/dev/shm", "/run", "/tmp")


def open_for_service(state: Path) -> Store:
    """A started store. Raises Refused, UsageError, or EdgeError where another agent is at work."""
    try:
        return _started(state)
    except (Refused, UsageError):
        raise
    except EdgeError as refusal:
        os.close(hold(state))  # another agent at work is no reason to stand in
        store = open_store(_folder_in_memory(state))
        message = f"{refusal.message}; until it takes writes, events are kept in memory only"
        store.start()
        store.passing = True
        store.troubles = (Trouble("store_in_memory", message, refusal.next),)
        log.error("%s next=%r", message, refusal.next)
        return store


def is_back(state: Path) -> bool:
    """The disk behind a store in memory takes writes again."""
    try:
        with open_sound(state) as store, store.database.transaction() as connection:
            connection.execute("UPDATE meta SET value = value WHERE key = 'boot'")
    except EdgeError:
        return False
    return True


def _started(state: Path) -> Store:
    try:
        return _start(state)
    except ReadOnly:
        raise
    except NoRoom:
        (state / RESERVE).unlink(missing_ok=True)  # deleting rows writes too: see retention.py
        return _start(state)


def _start(state: Path) -> Store:
    """Counting the start is the first write: a disk that refuses says so here."""
    store = open_sound(state)
    try:
        store.start()
    except BaseException:
        store.close()
        raise
    return store


def _folder_in_memory(state: Path) -> Path:
    """A new one; those that a killed agent of the same directory left are removed."""
    memory = next((folder for folder in MEMORY if os.access(folder, os.W_OK)), None)
    memory = memory or tempfile.gettempdir()
    name = hashlib.sha256(str(state.absolute()).encode()).hexdigest()[:12]
    for left in Path(memory).glob(f"edge-agent-{name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"edge-agent-{name}-", dir=memory))
