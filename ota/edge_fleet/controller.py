"""The controller: what devices reported becomes the next signed order.

Rules: everything it knows is in the repository and the archive, so it may be killed at any moment
and started again. One of them works on a repository at a time (the kernel keeps the lock); a step
is decided once more when the repository is held, on what stands there then, so that two could do
no harm either, and a person's command in between counts. It signs again what is online before it
expires. Read `decide.py` for what is decided, `standing.py` for what is written.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.durable import locked
from edge_agent.errors import EdgeError, UsageError
from edge_fleet.archive import Archive, open_archive
from edge_fleet.change import changing
from edge_fleet.decide import Decision, Move, decide
from edge_fleet.files import files_errors
from edge_fleet.keys import Keyring
from edge_fleet.repository import TARGETS, Repository, open_repository
from edge_fleet.rotation import refresh, wants_refresh
from edge_fleet.standing import Ongoing, Word, rollout, rollouts, step
from edge_fleet.subscriber import Address, Subscriber

log = logging.getLogger("edge_fleet.controller")

#: How soon a stop is noticed.
STOP_S = 0.2
JOIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a decision is made of."""

    folder: Path
    keyring: Keyring
    archive: Archive

    def judge(self, ongoing: Ongoing, now: float) -> Decision:
        return judge(self.archive, ongoing, now)


def judge(archive: Archive, ongoing: Ongoing, now: float) -> Decision:
    """What is to be done with one rollout, by what the archive knows."""
    found = ongoing.standing.order
    fleet = {each.name: each.tags for each in archive.devices()}
    reports = archive.reports(found.id, found.sha256)
    return decide(ongoing.plan, ongoing.standing, fleet, reports, now)


def lead(desk: Desk, over: Callable[[], bool], every_s: float) -> None:
    """Look again and again until `over`. The caller holds `only_one`."""
    log.info("at work on %s", desk.folder)
    while not over():
        look(desk, time.time())
        until = time.monotonic() + every_s
        while not over() and time.monotonic() < until:
            time.sleep(min(STOP_S, every_s))


def look(desk: Desk, now: float) -> None:
    """Every open rollout once; each step is one change of the repository."""
    repository = open_repository(desk.folder)
    for each in rollouts(repository):
        if each.is_open and desk.judge(each, now).move is not Move.STAY:
            _take(desk, each.id, now)
    if due := wants_refresh(repository, now):
        refresh(desk.folder, desk.keyring, now, due)
        log.info("signed again: %s", ", ".join(due))


def _take(desk: Desk, id_: str, now: float) -> None:
    with changing(desk.folder, desk.keyring, now) as change:
        ongoing = rollout(change.repository, id_)
        found = desk.judge(ongoing, now)
        if found.move is Move.STAY:
            return  # somebody else took it, or a person stopped it
        after = step(ongoing, found.move, Word("controller", found.reasons), change, now)
    taken = after.steps[-1]
    log.info("rollout %s: %s (%s): %s", id_, taken.move, taken.stage, "; ".join(taken.reasons))


def check_keys(desk: Desk) -> None:
    """Open what will be needed, before it is. Raises UsageError."""
    repository: Repository = open_repository(desk.folder)
    for role in ("rollouts", "snapshot", "timestamp"):
        keyids, threshold = repository.keyids(role)
        if len(list(desk.keyring.signers(role, keyids))) < threshold:
            raise UsageError(
                f"the {role} key is not here, no step could be signed", "name its folder: --keys"
            )


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Raises EdgeError where another controller has the repository."""
    open_repository(folder)
    taken = EdgeError(
        f"another controller is at work on {folder}",
        "only one may at a time: wait for it, or stop it",
    )
    with files_errors(folder), locked(folder / TARGETS, 0.0, taken):
        yield


class Receiving:
    """A subscriber in a thread of its own, with its own connection to the archive."""

    def __init__(self, address: Address, path: Path) -> None:
        self._stop = threading.Event()
        self._fault: BaseException | None = None
        self._address, self._path = address, path
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raise what ended it."""
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Raises what ended it; a thread that will not end is a fault of ours."""
        self._stop.set()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the subscriber did not end within {JOIN_S:g} s")
        self.check()

    def _run(self) -> None:
        try:
            with open_archive(self._path) as archive:
                Subscriber(self._address, archive).run(self._stop.is_set)
        except BaseException as fault:  # it is raised where somebody can act on it
            self._fault = fault
