"""What this device trusts: the root it was shipped with, and what it has verified since.

    ota.root                  the root that was shipped; never written here
    ota/metadata/             python-tuf's: root_history/, timestamp.json, snapshot.json, ...
    ota/metadata/damaged/     what was set aside
    ota/trusted.json          the least versions, and the latest time, that were ever trusted

Rules: everything starts from the shipped root. Local metadata that is damaged is set aside and
fetched anew; the least versions keep an old repository from passing for new meanwhile, for as long
as the keys of timestamp and snapshot are the same (new ones are how an operator recovers from a
version that a thief drove up). Expiry is judged by the latest of wall clock, build time and the
last time that a synced clock showed at a check. Read `repository.py` next.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tuf.api.exceptions import RepositoryError, StorageError
from tuf.api.metadata import Metadata, Root, Snapshot, Timestamp
from tuf.ngclient import UpdaterConfig

from edge_agent.durable import read_document, write_document
from edge_agent.errors import Refused
from edge_agent.updates.source import Now

#: How large metadata may be; python-tuf's own figures, written down because `sound` obeys them too.
SIZES = UpdaterConfig(
    root_max_length=512_000,
    timestamp_max_length=16_384,
    snapshot_max_length=2_000_000,
    targets_max_length=5_000_000,
)
DAMAGED = "damaged"
_GUARDED = re.compile(r"(?:\d+\.)?(timestamp|snapshot)\.json")
_OPERATOR = "nothing changed here; ask who runs the repository"


class Trust:
    """`record` None: no least versions and no times are kept; `built` 0: no floor. The service
    passes both; the conformance suite, whose clock jumps, has neither."""

    def __init__(
        self, metadata: Path, bootstrap: bytes, record: Path | None = None, built: float = 0.0
    ) -> None:
        self.metadata = metadata
        self.bootstrap = bootstrap
        self._record = record
        self._built = built
        self._known = read_document(record) if record is not None else {}

    def reference(self, now: Now) -> datetime:
        """The time that expiry is judged by."""
        last = self._known.get("time")
        latest = max(now.wall, self._built, last if isinstance(last, int | float) else 0.0)
        return datetime.fromtimestamp(latest, UTC)

    def set_damage_aside(self) -> tuple[str, ...]:
        """Make the folder one that python-tuf can go on with; the names of what could not be read.

        Raises OSError.
        """
        if self.metadata.is_symlink() or (self.metadata.exists() and not self.metadata.is_dir()):
            self.metadata.replace(self.metadata.with_name(f"{self.metadata.name}.{DAMAGED}"))
        self.metadata.mkdir(parents=True, exist_ok=True)
        found = []
        for path in [*self.metadata.glob("*.json"), self.metadata / "root_history"]:
            if not _sound(path):
                found.append(path.name)
                aside = self.metadata / DAMAGED
                aside.mkdir(exist_ok=True)
                _remove_tree(aside / path.name)
                path.replace(aside / path.name)
        return tuple(sorted(found))

    def inspect(self, name: str, content: bytes) -> None:
        """Look at timestamp and snapshot as they arrive, before python-tuf stores one of them.

        They are not verified yet: this can only refuse. Raises Refused.
        """
        match = _GUARDED.fullmatch(name)
        if match is None or not self._known:
            return
        root = self._root()
        if root.version < self._least("root"):
            raise _rollback("root", root.version, self._least("root"))
        try:
            signed: Any = Metadata[Any].from_bytes(content).signed
        except RepositoryError:
            return  # python-tuf refuses it, and says why
        if isinstance(signed, Timestamp) and self._same_keys(root, "timestamp"):
            self._at_least("timestamp", signed.version)
            self._at_least("snapshot", signed.snapshot_meta.version)
        if isinstance(signed, Snapshot) and self._same_keys(root, "snapshot"):
            for file in self._versions():
                if file.endswith(".json"):
                    told = signed.meta.get(file)
                    self._at_least(file, told.version if told is not None else 0)

    def remember(self, now: Now) -> dict[str, int]:
        """After a whole refresh: what was trusted becomes the least. Returns the versions by role.

        Raises OSError.
        """
        root = self._root()
        timestamp = cast("Timestamp", self.load("timestamp").signed)
        snapshot = cast("Snapshot", self.load("snapshot").signed)
        versions = {
            "root": root.version,
            "timestamp": timestamp.version,
            "snapshot": snapshot.version,
            **{file: meta.version for file, meta in sorted(snapshot.meta.items())},
        }
        if self._record is not None:
            trusted = [float(self._known.get("time") or 0.0)] + [now.wall] * now.synced
            known = {
                "schema": "ota-trusted/1",
                "time": max(trusted),
                "keys": {role: _keys(root, role) for role in ("timestamp", "snapshot")},
                "versions": versions,
            }
            if known != self._known:
                write_document(self._record, known)
                self._known = known
        return {name.removesuffix(".json"): version for name, version in versions.items()}

    def load(self, role: str) -> Metadata[Any]:
        """A role's metadata as it lies here, verified by whoever stored it."""
        return Metadata[Any].from_file(str(self.metadata / f"{role}.json"))

    def _root(self) -> Root:
        return cast("Root", self.load("root").signed)

    def _versions(self) -> dict[str, int]:
        versions = self._known.get("versions")
        return versions if isinstance(versions, dict) else {}

    def _least(self, name: str) -> int:
        least = self._versions().get(name)
        return least if isinstance(least, int) else 0

    def _at_least(self, name: str, version: int) -> None:
        if version < self._least(name):
            raise _rollback(name.removesuffix(".json"), version, self._least(name))

    def _same_keys(self, root: Root, role: str) -> bool:
        keys = self._known.get("keys")
        return isinstance(keys, dict) and keys.get(role) == _keys(root, role)


def _rollback(role: str, offered: int, least: int) -> Refused:
    return Refused(
        f"rolled back: the repository offers version {offered} of {role}, {least} was trusted here",
        _OPERATOR,
    )


def _keys(root: Root, role: str) -> list[str]:
    return sorted(root.roles[role].keyids)


def _sound(path: Path) -> bool:
    """Whether python-tuf can read it, or write over it."""
    if path.name == "root_history":
        return not path.exists() or (path.is_dir() and not path.is_symlink())
    if path.is_dir() or (path.is_symlink() and path.name != "root.json"):
        return False
    try:
        if not path.is_file() or path.stat().st_size > SIZES.targets_max_length:
            return False
        Metadata[Any].from_file(str(path))
    except (RepositoryError, StorageError, OSError):
        return False
    return True


def _remove_tree(path: Path) -> None:
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
