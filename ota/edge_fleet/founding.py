"""A new repository, made of the public halves of the keys. Read `rotation.py` next."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from edge_agent.durable import make_folder
from edge_agent.errors import UsageError
from edge_fleet.change import Change
from edge_fleet.files import files_errors
from edge_fleet.keys import Keyring, Ring
from edge_fleet.repository import METADATA, TARGETS, Repository, is_repository
from edge_fleet.roles import DELEGATED, ROLES, TOP


def found(folder: Path, ring: Ring, keyring: Keyring, now: float) -> Repository:
    """The first version of every role. Raises UsageError where keys are missing, or something is
    there already."""
    if is_repository(folder):
        raise UsageError(f"{folder} is a repository already", "name another folder")
    if lacking := [role for role in ROLES if not ring.of(role)]:
        raise UsageError(
            f"there is no key for {', '.join(lacking)}", "edge-fleet keys init DIR makes them"
        )
    with files_errors(folder):
        make_folder(folder / METADATA)
        make_folder(folder / TARGETS)
        change = Change(_empty(folder, ring, now), keyring, now)
        for role in ("root", "targets", *DELEGATED):
            change.touch(role)
        change.write()
    return change.repository


def _empty(folder: Path, ring: Ring, now: float) -> Repository:
    """Everything in version 0, unsigned: writing it makes version 1."""
    expires = datetime.fromtimestamp(now, UTC).replace(microsecond=0)
    root = Root(
        version=1,
        expires=expires,
        keys={each.keyid: each.key for each in ring.keys if each.role in TOP},
        roles={role: _role(ring, role) for role in TOP},
        consistent_snapshot=True,
    )
    delegations = Delegations(
        {each.keyid: each.key for each in ring.keys if each.role in DELEGATED},
        {
            role: DelegatedRole(
                role,
                [each.keyid for each in ring.of(role)],
                ring.thresholds[role],
                terminating=True,
                paths=list(ROLES[role].paths),
            )
            for role in DELEGATED
        },
    )
    roles = {role: Metadata(Targets(version=1, expires=expires)) for role in DELEGATED}
    roles = {"targets": Metadata(Targets(1, None, expires, None, delegations)), **roles}
    snapshot = Snapshot(version=1, expires=expires, meta={"targets.json": MetaFile(1)})
    made = Repository(
        folder,
        Metadata(root),
        None,
        Metadata(Timestamp(version=1, expires=expires)),
        Metadata(snapshot),
        roles,
    )
    for role in ROLES:
        made.signed(role).signed.version = 0
    return made


def _role(ring: Ring, role: str) -> Role:
    return Role([each.keyid for each in ring.of(role)], ring.thresholds[role])
