"""A signed repository of real files, made in a test: by its rules, or by a thief's.

The desk's own code is not used: what it writes is one thing, what a device accepts another. Every
role has a key; `publish` signs what changed, as an honest desk would. An attack changes the
metadata by hand (`sign`, `put`), with the keys that its thief holds.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State, write

#: The moment of every test that names no other: metadata is good for ten days from here.
TODAY = datetime(2026, 11, 30, 12, tzinfo=UTC)
NOW = TODAY.timestamp()
PATHS = {"models": ["models/*/*"], "policies": ["policies/*/*"], "rollouts": ["rollouts/*"]}
TOP = ("root", "targets", "snapshot", "timestamp")
MODEL = "models/people/1.1.tar"


@functools.cache
def key(name: str) -> CryptoSigner:
    """The same for the same name, whoever asks."""
    return CryptoSigner.generate_ed25519()


class SignedRepository:
    """`folder` is what a web server hands out. `keys[role]` are the names of the keys that sign."""

    def __init__(self, folder: Path, expires: datetime = TODAY + timedelta(days=10)) -> None:
        self.folder = folder
        self.keys = {role: [role] for role in (*TOP, *PATHS)}
        self.root = Root(expires=expires, consistent_snapshot=True)
        self.timestamp = Timestamp(expires=expires)
        self.snapshot = Snapshot(expires=expires)
        self.roles = {role: Targets(expires=expires) for role in ("targets", *PATHS)}
        delegated = {role: DelegatedRole(role, [], 1, True, paths) for role, paths in PATHS.items()}
        self.roles["targets"].delegations = Delegations({}, delegated)
        for role in TOP:
            self.root.add_key(key(role).public_key, role)
        for role in PATHS:
            self.roles["targets"].add_key(key(role).public_key, role)
        for signed in (self.timestamp, self.snapshot, *self.roles.values()):
            signed.version = 0
        (folder / "metadata").mkdir(parents=True)
        self.sign("root")
        self.publish(*self.roles)

    @property
    def bootstrap(self) -> bytes:
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    def publish(self, *changed: str) -> None:
        """These roles anew, and what leads to them."""
        for role in changed:
            self.roles[role].version += 1
            self.snapshot.meta[f"{role}.json"] = MetaFile(self.roles[role].version)
            self.sign(role)
        self.snapshot.version += 1
        self.sign("snapshot")
        self.stamp()

    def stamp(self) -> None:
        self.timestamp.version += 1
        self.timestamp.snapshot_meta = MetaFile(self.snapshot.version)
        self.sign("timestamp")

    def new_root(self, *old: str) -> None:
        """The next root, signed by its keys and by `old` ones."""
        self.root.version += 1
        self.sign("root", *self.keys["root"], *old)

    def rotate(self, role: str, name: str) -> None:
        """A top role has a new key instead of its own; `new_root` publishes it."""
        self.root.revoke_key(key(self.keys[role][0]).public_key.keyid, role)
        self.root.add_key(key(name).public_key, role)
        self.keys[role] = [name]

    def sign(self, role: str, *names: str) -> None:
        """Write a role's metadata, signed by the role's keys or by those that are named."""
        signed = self.signed(role)
        metadata = Metadata(signed)
        for name in dict.fromkeys(names or self.keys[role]):
            metadata.sign(key(name), append=True)
        file = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        metadata.to_file(str(self.folder / "metadata" / file))

    def signed(self, role: str) -> Any:
        top = {"root": self.root, "timestamp": self.timestamp, "snapshot": self.snapshot}
        return top.get(role) or self.roles[role]

    def put(
        self, path: str, content: bytes, custom: Mapping[str, Any] | None = None, role: str = ""
    ) -> Path:
        """A target's file, and what its role says of it; `publish(role)` makes it known."""
        info = TargetFile.from_data(path, content, ["sha256"])
        if custom is not None:
            info.unrecognized_fields["custom"] = dict(custom)
        self.roles[role or path.partition("/")[0]].targets[path] = info
        file = self.file(path, info)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def file(self, path: str, info: TargetFile) -> Path:
        folder, _, name = path.rpartition("/")
        return self.folder / "targets" / folder / f"{info.hashes['sha256']}.{name}"

    def put_model(self, content: bytes = b"a bundle", path: str = MODEL) -> Path:
        _, name, version = path.removesuffix(".tar").split("/")
        custom = {"name": name, "version": version, "sha256": "a" * 64, "family": "ssd"}
        return self.put(path, content, custom)

    def put_rollout(self, rollout: Rollout, role: str = "rollouts") -> Path:
        content = json.dumps(write(rollout)).encode()
        return self.put(f"rollouts/{rollout.id}.json", content, role=role)

    def copy(self, folder: Path) -> Path:
        """The files of this moment, for whoever kept an old mirror."""
        return Path(shutil.copytree(self.folder, folder))


def rollout(
    name: str = "people-1.1",
    kind: Kind = Kind.MODEL,
    target: str = MODEL,
    sha256: str = "a" * 64,
) -> Rollout:
    _, model, version = target.rpartition(".")[0].split("/")
    return Rollout(
        id=name,
        serial=1,
        state=State.RUNNING,
        kind=kind,
        target=target,
        sha256=sha256,
        name=model,
        version=version,
        stages=(Stage("all", Mode.CHARGE, percent=100),),
        stage=0,
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder with its hash, locks aside: what an attack must not change."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }
