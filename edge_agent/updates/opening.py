"""From a `Source` to a check or a download in this process: what opens which door.

Who runs for long calls `errand.py` instead, which does the same in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.errors import EdgeError, UsageError
from edge_agent.updates.budget import Budget
from edge_agent.updates.checked import remember_failure, remember_good
from edge_agent.updates.disk import disk_errors
from edge_agent.updates.from_folder import FolderOpener
from edge_agent.updates.limits import Limits, Patience
from edge_agent.updates.line import Line
from edge_agent.updates.offer import Offer, Target
from edge_agent.updates.opened import Opener
from edge_agent.updates.over_http import HttpOpener
from edge_agent.updates.place import Place
from edge_agent.updates.repository import Repository
from edge_agent.updates.source import Now, Source, ota_folder
from edge_agent.updates.trust import Trust

#: A root has a few kB.
_LARGEST_ROOT = 512_000


def check(source: Source, now: Now, limits: Limits | None = None) -> Offer:
    """What the repository offers now; how it went is remembered. Raises EdgeErrors."""
    state = Path(source.state)
    try:
        with opened(source, now, limits) as repository:
            offer = repository.refresh(now)
    except EdgeError as fault:
        with disk_errors(state):
            remember_failure(state, source.address, now.wall, fault)
        raise
    with disk_errors(state):
        remember_good(state, source.address, now.wall, offer)
    return offer


def fetch(source: Source, now: Now, target: Target, into: Path) -> Path:
    """One file of it, verified, in `into`; goes on with what came before. Raises EdgeErrors."""
    with opened(source, now) as repository:
        repository.refresh(now)
        return repository.fetch(target, into)


@contextmanager
def opened(source: Source, now: Now, limits: Limits | None = None) -> Iterator[Repository]:
    """Raises UsageError where the shipped root or a folder is not there."""
    limits = limits or Limits()
    folder = ota_folder(Path(source.state))
    place = _place(source.address)
    bootstrap = _shipped_root(Path(source.root))
    trust = Trust(folder / "metadata", bootstrap, folder / "trusted.json", source.built)
    opener: Opener
    if place.folder is not None:
        opener, spent = FolderOpener(place.folder), None
    else:
        opener, spent = HttpOpener(limits, source.ca), folder / "spent.json"
    budget = Budget(spent, source.mb_per_day, trust.reference(now))
    repository = Repository(place, trust, Line(opener, budget, limits, Patience()))
    try:
        yield repository
    finally:
        repository.close()


def _place(address: str) -> Place:
    try:
        return Place.parse(address)
    except ValueError as fault:
        raise UsageError(str(fault), "correct ota.repository") from None


def _shipped_root(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_ROOT)
    except OSError as fault:
        raise UsageError(
            f"the root that this device trusts first cannot be read: {path}: {fault.strerror}",
            f"copy 1.root.json of the repository to {path}, or name it: ota.root",
        ) from fault
