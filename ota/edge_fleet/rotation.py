"""Keys that take the place of others, and signatures that are renewed before they expire.

`rotate` is what follows the loss, the theft or the age of a key: who names the role's keys (root,
or targets) is signed anew, and with it what the role itself had signed. `refresh` signs the same
content again. Read `change.py` for how it is written, ota/README.md for the ceremony.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_agent.errors import UsageError
from edge_agent.policy.documents import rfc3339
from edge_fleet.change import Change, changing
from edge_fleet.files import files_errors
from edge_fleet.keys import Keyring, Public, Ring, make_key, read_ring, write_ring
from edge_fleet.repository import Repository, open_repository
from edge_fleet.roles import DELEGATED, ROLES, delegator

#: A person is reminded of what expires within so long, or is in the last quarter of its life.
SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a role's signature ends. `soon`: somebody should sign again."""

    role: str
    at: datetime
    soon: bool
    over: bool


def rotate(
    folder: Path, repository: Path | None, wanted: tuple[str, str], keyring: Keyring, now: float
) -> tuple[Public, Public]:
    """A new key in `folder` in the place of one of a role's; the new and the old one.

    `wanted` is the role and how the old key's id begins ("" where there is only one). The old
    private key need not be there, but enough of those who name it must. Raises UsageError.
    """
    ring = read_ring(folder)
    if repository is not None:
        ring = _as_signed(ring, open_repository(repository), now)
    role, old = wanted[0], _meant(ring, *wanted)
    with files_errors(folder):
        new = make_key(folder, role, keyring.passphrases, now)
        try:
            if repository is not None:
                with changing(repository, keyring, now) as change:
                    _replace(change, role, old, new)
        except BaseException:
            (folder / new.file).unlink()  # nobody ever trusted it
            raise
        keys = tuple(new if each.keyid == old.keyid else each for each in ring.keys)
        write_ring(folder, Ring(ring.thresholds, keys))
    return new, old


def refresh(repository: Path, keyring: Keyring, now: float, roles: Sequence[str] = ()) -> None:
    """Sign again: these roles, snapshot and timestamp, and whatever the newest root does not vouch
    for (we were killed in the middle of a rotation). Raises UsageError where keys are missing."""
    with changing(repository, keyring, now) as change:
        change.renew()
        for role in (*roles, *_unvouched(change.repository)):
            if role not in ("snapshot", "timestamp"):
                change.touch(role)


def expiries(repository: Repository, now: float) -> Iterator[Expiry]:
    """Every role's, in the order of who trusts whom."""
    moment = datetime.fromtimestamp(now, UTC)
    for role, at in repository.expiries().items():
        left, life = at - moment, timedelta(days=ROLES[role].days)
        soon = left < min(SOON, life / 4)
        yield Expiry(role, at, soon, left <= timedelta(0))


def wants_refresh(repository: Repository, now: float) -> list[str]:
    """The roles with keys online that have lived for half of their time: a controller's work."""
    moment = datetime.fromtimestamp(now, UTC)
    return [
        role
        for role, at in repository.expiries().items()
        if ROLES[role].online and at - moment < timedelta(days=ROLES[role].days) / 2
    ]


def _as_signed(ring: Ring, repository: Repository, now: float) -> Ring:
    """The keys that the repository names: a rotation that was killed had not written them here."""
    known = {each.keyid: each for each in ring.keys}
    keys = [
        known.get(keyid)
        or Public(role, repository.signed(delegator(role)).signed.get_key(keyid), rfc3339(now))
        for role in ring.thresholds
        for keyid in repository.keyids(role)[0]
    ]
    return Ring(ring.thresholds, tuple(keys))


def _meant(ring: Ring, role: str, keyid: str) -> Public:
    if role not in ROLES:
        raise UsageError(f"there is no role {role!r}", f"one of: {', '.join(ROLES)}")
    found = [each for each in ring.of(role) if each.keyid.startswith(keyid)]
    if len(found) != 1:
        there = ", ".join(each.keyid[:12] for each in ring.of(role)) or "none"
        which = "several keys" if found else "no key"
        raise UsageError(f"{role} has {which} {keyid}".rstrip(), f"say which, --key: {there}")
    return found[0]


def _replace(change: Change, role: str, old: Public, new: Public) -> None:
    """The new key's name where the old one's stood, and the role signed by it."""
    change.touch(delegator(role))
    if role != delegator(role):
        change.touch(role)
    names = change.repository.signed(delegator(role)).signed
    names.revoke_key(old.keyid, role)
    names.add_key(new.key, role)


def _unvouched(repository: Repository) -> Iterator[str]:
    for role in ("targets", *DELEGATED):
        metadata = repository.signed(role)
        named = repository.signed(delegator(role)).signed
        if not named.get_verification_result(role, metadata.signed_bytes, metadata.signatures):
            yield role
