"""One change of a repository: what is new is signed and written, or nothing of it counts.

Rules: the folder is held against other writers while it is changed, and read anew once held. A
role that changes gets the next version and a fresh date; snapshot and timestamp follow in any case.
Enough keys must be there for every role that is signed: the fault names the missing ones before
anything is written. A root is written last while those whom it replaces can still sign (what lies
there is good under both), else first. Read `keys.py` for the signers.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, TargetFile

from edge_agent.durable import locked, make_folder, write_durably
from edge_agent.errors import EdgeError, UsageError
from edge_fleet.files import files_errors
from edge_fleet.keys import Keyring, file_name
from edge_fleet.repository import (
    METADATA,
    Repository,
    metadata_path,
    open_repository,
    target_path,
)
from edge_fleet.roles import DELEGATED, ROLES

PATIENCE_S = 30.0


@dataclass(slots=True)
class Change:
    """What is to be written. `repository` is a copy of its own, changed in place."""

    repository: Repository
    keyring: Keyring
    now: float
    _touched: set[str] = field(default_factory=set)
    _files: dict[Path, bytes] = field(default_factory=dict)

    def add(self, role: str, path: str, content: bytes, custom: Mapping[str, Any]) -> None:
        """Publish a file, in the place of one with the same path."""
        target = TargetFile.from_data(path, content, ["sha256"])
        target.unrecognized_fields["custom"] = dict(custom)
        self.repository.roles[role].signed.targets[path] = target
        self._files[target_path(self.repository.folder, target)] = content
        self._touched.add(role)

    def remove(self, role: str, path: str) -> None:
        """Publish it no more; its file stays, as devices may be reading it."""
        del self.repository.roles[role].signed.targets[path]
        self._touched.add(role)

    def touch(self, role: str) -> None:
        """Sign a role anew, as it is. Do so before a root is changed: the one before is kept."""
        if role == "root" and self.repository.root.signed.version:
            before = copy.deepcopy(self.repository.root)
            self.repository = replace(self.repository, before=before)
        self._touched.add(role)

    def renew(self) -> None:
        """Sign snapshot and timestamp anew even where nothing else changes."""
        self._touched.add("timestamp")

    def next_version(self, role: str) -> int:
        """What the role's metadata will be numbered."""
        return int(self.repository.signed(role).signed.version) + 1

    def write(self) -> None:
        """Sign, then write, the timestamp last. Raises UsageError where keys are missing.

        Where nothing was changed nothing is written.
        """
        if not self._touched:
            return
        touched = [role for role in ("targets", *DELEGATED) if role in self._touched]
        written = {role: self._signed(role) for role in touched}
        snapshot = self.repository.snapshot.signed
        for role, content in written.items():
            snapshot.meta[f"{role}.json"] = _meta(self.repository.signed(role), content)
        written["snapshot"] = self._signed("snapshot")
        self.repository.timestamp.signed.snapshot_meta = _meta(
            self.repository.snapshot, written["snapshot"]
        )
        stamp = self._signed("timestamp")
        root = self._signed("root") if "root" in self._touched else None
        folder = self.repository.folder
        with files_errors(folder):
            for path, content in self._files.items():
                make_folder(path.parent)
                write_durably(path, content)
            last = root is not None and self._overlaps()
            if root is not None and not last:
                self._put("root", root)
            for role, content in written.items():
                self._put(role, content)
            self._put("timestamp", stamp)
            if root is not None and last:
                self._put("root", root)

    def _put(self, role: str, content: bytes) -> None:
        version = self.repository.signed(role).signed.version
        write_durably(metadata_path(self.repository.folder, role, version), content)

    def _signed(self, role: str) -> bytes:
        """The role's next version, signed by everybody who may and is here."""
        metadata = self.repository.signed(role)
        metadata.signed.version += 1
        metadata.signed.expires = datetime.fromtimestamp(self.now, UTC).replace(
            microsecond=0
        ) + timedelta(days=ROLES[role].days)
        metadata.signatures.clear()
        for keyids, threshold in self._signatories(role):
            self._require(role, keyids, threshold)
            for signer in self.keyring.signers(role, keyids):
                metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _signatories(self, role: str) -> Iterator[tuple[list[str], int]]:
        """Whose signatures it needs; of those whom a new root replaces, as many as there are."""
        yield self.repository.keyids(role)
        before = self._root_before()
        if before is None or role in DELEGATED:
            return
        old = before.signed.get_delegated_role(role)
        if role == "root":
            yield old.keyids, old.threshold
        else:
            yield [keyid for keyid in old.keyids if self.keyring.has(role, keyid)], 0

    def _root_before(self) -> Metadata[Any] | None:
        """The root that devices have while this change writes a new one."""
        return self.repository.before if "root" in self._touched else None

    def _overlaps(self) -> bool:
        """Whether what is written is good before the new root is there, too."""
        before = self._root_before()
        if before is None:
            return True  # nothing is there at all until the first root is
        for role in ("targets", "snapshot", "timestamp"):
            metadata = self.repository.signed(role)
            content, signatures = metadata.signed_bytes, metadata.signatures
            if not before.signed.get_verification_result(role, content, signatures):
                return False
        return True

    def _require(self, role: str, keyids: list[str], threshold: int) -> None:
        here = [keyid for keyid in keyids if self.keyring.has(role, keyid)]
        if len(here) < threshold:
            missing = ", ".join(file_name(role, each) for each in keyids if each not in here)
            needed = "one key" if threshold == 1 else f"{threshold} keys"
            raise UsageError(
                f"{role} needs {needed} to sign, {len(here) or 'none'} of them is here"
                f" (not here: {missing})",
                "name the folders that hold them: --keys DIR, once for each",
            )


@contextmanager
def changing(folder: Path, keyring: Keyring, now: float) -> Iterator[Change]:
    """The repository, held and read anew; what the caller changes is written at the end.

    Raises what `open_repository` does, UsageError where keys are missing; then nothing was changed.
    """
    open_repository(folder)  # says what is wrong before anything is waited for
    with holding(folder):
        change = Change(copy.deepcopy(open_repository(folder)), keyring, now)
        yield change
        change.write()


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Held against every other writer."""
    taken = EdgeError(
        f"somebody else is writing into {folder}", "only one may at a time: wait for it, or stop it"
    )
    with files_errors(folder), locked(folder / METADATA, PATIENCE_S, taken):
        yield


def _meta(metadata: Metadata[Any], content: bytes) -> MetaFile:
    return MetaFile.from_data(metadata.signed.version, content, ["sha256"])
