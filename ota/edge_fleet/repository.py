"""A repository: signed metadata and targets as plain files that any web server can hand out.

Rules: what counts is what `timestamp.json` leads to; files that nothing leads to are leftovers of a
killed process and are written over. A change is written in the order targets, roles, snapshot,
timestamp, each by rename, so that every moment's folder is one whole repository. What is read here
is verified as a device would. Changes are `change.py`'s. Specification: TUF 1.0, consistent
snapshots (theupdateframework.github.io/specification).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from edge_agent.errors import Refused, UsageError
from edge_fleet.files import files_errors
from edge_fleet.roles import DELEGATED, ROLES, delegator

METADATA, TARGETS = "metadata", "targets"
Signed = TypeVar("Signed", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True)
class Target:
    """One published file. `custom` says what it is, and of a rollout what the desk knows of it."""

    path: str
    file: Path
    length: int
    sha256: str
    custom: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Repository:
    """What a folder holds at one moment. `before` is the root before the present one."""

    folder: Path
    root: Metadata[Root]
    before: Metadata[Root] | None
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    roles: Mapping[str, Metadata[Targets]]  # targets, and whom it delegates to

    def signed(self, role: str) -> Metadata[Any]:
        top: dict[str, Metadata[Any]] = {
            "root": self.root,
            "timestamp": self.timestamp,
            "snapshot": self.snapshot,
        }
        return top[role] if role in top else self.roles[role]

    def keyids(self, role: str) -> tuple[list[str], int]:
        """Who may sign for a role, and how many must."""
        top = cast(Root | Targets, self.signed(delegator(role)).signed)
        found = top.get_delegated_role(role)
        return found.keyids, found.threshold

    def targets(self, role: str) -> Iterator[Target]:
        """What a delegated role published, in the order of the paths."""
        for path, target in sorted(self.roles[role].signed.targets.items()):
            yield _target(self.folder, path, target)

    def target(self, role: str, path: str) -> Target | None:
        return next((each for each in self.targets(role) if each.path == path), None)

    def expiries(self) -> dict[str, datetime]:
        return {role: self.signed(role).signed.expires for role in ROLES}


def is_repository(folder: Path) -> bool:
    return (folder / METADATA / "1.root.json").is_file()


def open_repository(folder: Path) -> Repository:
    """The repository in a folder. Raises UsageError where there is none, Refused where it is not
    what its keys signed."""
    if not is_repository(folder):
        raise UsageError(f"{folder} is no repository", f"make one: edge-fleet repo init {folder}")
    with files_errors(folder):
        try:
            return _load(folder)
        except (RepositoryError, DeserializationError, ValueError, KeyError) as fault:
            raise Refused(
                f"{folder} is not what its keys signed: {fault}", "restore it from a copy"
            ) from None


def metadata_path(folder: Path, role: str, version: int) -> Path:
    name = "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
    return folder / METADATA / name


def target_path(folder: Path, target: TargetFile) -> Path:
    """Where a target lies: its name bears its hash (consistent snapshots)."""
    return folder / TARGETS / target.get_prefixed_paths()[0]


def newest_root(folder: Path) -> int:
    """Roots are found as devices find them: by the next number."""
    version = 1
    while metadata_path(folder, "root", version + 1).is_file():
        version += 1
    return version


# --- below: reading -------------------------------------------------------------------------------


def _load(folder: Path) -> Repository:
    number = newest_root(folder)
    root = _read(folder, "root", number, Root)
    before = _read(folder, "root", number - 1, Root) if number > 1 else None
    root.signed.verify_delegate("root", root.signed_bytes, root.signatures)
    if before is not None:
        before.signed.verify_delegate("root", root.signed_bytes, root.signatures)
    timestamp = _read(folder, "timestamp", 0, Timestamp)
    _verify_top("timestamp", timestamp, root, before)
    snapshot = _read(
        folder, "snapshot", timestamp.signed.snapshot_meta.version, Snapshot,
        timestamp.signed.snapshot_meta.verify_length_and_hashes,
    )  # fmt: skip
    _verify_top("snapshot", snapshot, root, before)
    roles: dict[str, Metadata[Targets]] = {}
    for role in ("targets", *DELEGATED):
        told = snapshot.signed.meta[f"{role}.json"]
        roles[role] = _read(folder, role, told.version, Targets, told.verify_length_and_hashes)
        if role == "targets":
            _verify_top(role, roles[role], root, before)
        else:
            bytes_ = roles[role].signed_bytes
            roles["targets"].signed.verify_delegate(role, bytes_, roles[role].signatures)
    return Repository(folder, root, before, timestamp, snapshot, roles)


def _read(
    folder: Path,
    role: str,
    version: int,
    kind: type[Signed],
    verify: Callable[[bytes], None] | None = None,
) -> Metadata[Signed]:
    content = metadata_path(folder, role, version).read_bytes()
    if verify is not None:
        verify(content)
    found = Metadata[kind].from_bytes(content)  # type: ignore[valid-type]
    if not isinstance(found.signed, kind) or (version and found.signed.version != version):
        raise ValueError(f"{role} {version} is {found.signed.type} {found.signed.version}")
    return found


def _verify_top(
    role: str, metadata: Metadata[Any], root: Metadata[Root], before: Metadata[Root] | None
) -> None:
    """By the present root; by the one before where a new root was written and then we were killed:
    `repo refresh` goes on from there."""
    try:
        root.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except RepositoryError:
        if before is None:
            raise
        before.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)


def _target(folder: Path, path: str, target: TargetFile) -> Target:
    custom = target.custom if isinstance(target.custom, Mapping) else {}
    return Target(path, target_path(folder, target), target.length, target.hashes["sha256"], custom)
