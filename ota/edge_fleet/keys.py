"""Keys of the roles: made here, sealed at rest, found again in the folders that a person names.

A key is one file, `ROLE-KEYID.key`: its public half in the clear, the private one sealed (Argon2id,
then Fernet), readable by its owner alone. A file can be moved to a stick: who signs names every
folder that holds keys. `roles.json` beside them holds the public halves of all and how many must
sign; it is what `repo init` makes a root of. From then on the repository is the truth.
Rule: an opened key lives in this process alone. Read `repository.py` next.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from securesystemslib.signer import CryptoSigner, SSlibKey

from edge_agent.durable import write_durably
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.policy.documents import rfc3339
from edge_fleet.files import files_errors
from edge_fleet.passphrase import Passphrases
from edge_fleet.roles import ROLES, Quorum

KEY, RING = "fleet-key/1", "fleet-roles/1"
RING_FILE = "roles.json"
#: RFC 9106, second recommended option: 64 MB and three passes.
KDF = {"memory_kb": 65_536, "passes": 3, "lanes": 4}


@dataclass(frozen=True, slots=True)
class Public:
    """What anybody may know of a key."""

    role: str
    key: SSlibKey
    created: str

    @property
    def keyid(self) -> str:
        return str(self.key.keyid)

    @property
    def file(self) -> str:
        return file_name(self.role, self.keyid)


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of every role, and how many of them must sign."""

    thresholds: Mapping[str, int]
    keys: tuple[Public, ...]

    def of(self, role: str) -> tuple[Public, ...]:
        return tuple(each for each in self.keys if each.role == role)


def file_name(role: str, keyid: str) -> str:
    return f"{role}-{keyid[:12]}.key"


def make_ring(
    folder: Path, quorums: Mapping[str, Quorum], passphrases: Passphrases, now: float
) -> Ring:
    """New keys for these roles in a folder that has none of them yet. Raises UsageError."""
    ring = read_ring(folder) if (folder / RING_FILE).exists() else Ring({}, ())
    if taken := sorted({each.role for each in ring.keys} & set(quorums)):
        raise UsageError(
            f"{folder} has keys of {', '.join(taken)} already",
            "replace one with: edge-fleet keys rotate",
        )
    for role in quorums:
        passphrases.of(role, new=True)  # all of them before the first file is written
    with files_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = [
            make_key(folder, role, passphrases, now)
            for role, quorum in quorums.items()
            for _ in range(quorum.keys)
        ]
        thresholds = {role: quorum.threshold for role, quorum in quorums.items()}
        ring = Ring({**ring.thresholds, **thresholds}, (*ring.keys, *made))
        write_ring(folder, ring)
    return ring


def make_key(folder: Path, role: str, passphrases: Passphrases, now: float) -> Public:
    """One key, sealed, in a file of its own."""
    private = Ed25519PrivateKey.generate()
    public = Public(role, SSlibKey.from_crypto(private.public_key()), rfc3339(now))
    salt, passphrase = passphrases.salt, passphrases.of(role, new=True)
    sealed = Fernet(_unlocking(passphrase, salt, **KDF)).encrypt(private.private_bytes_raw())
    document = {
        "schema": KEY,
        "role": role,
        "keyid": public.keyid,
        "created": public.created,
        "public": public.key.to_dict(),
        "kdf": {"name": "argon2id", "salt": base64.b64encode(salt).decode(), **KDF},
        "sealed": sealed.decode(),
    }
    write_durably(folder / public.file, json.dumps(document, indent=2).encode() + b"\n", 0o600)
    return public


def read_ring(folder: Path) -> Ring:
    """Raises UsageError where there is none, Refused where it is damaged."""
    path = folder / RING_FILE
    if not path.is_file():
        raise UsageError(f"{folder} holds no {RING_FILE}", f"edge-fleet keys init {folder}")
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != RING:
            raise ValueError(f"schema {document['schema']!r}")
        keys = tuple(
            Public(role, _public(each["keyid"], each["public"]), str(each["created"]))
            for role, held in document["roles"].items()
            for each in held["keys"]
        )
        thresholds = {role: int(held["threshold"]) for role, held in document["roles"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Refused(f"{path} is damaged: {fault}", "restore it from its copy") from None
    return Ring(thresholds, keys)


def write_ring(folder: Path, ring: Ring) -> None:
    roles = {
        role: {
            "threshold": ring.thresholds[role],
            "keys": [
                {"keyid": each.keyid, "created": each.created, "public": each.key.to_dict()}
                for each in ring.of(role)
            ],
        }
        for role in ROLES
        if role in ring.thresholds
    }
    text = json.dumps({"schema": RING, "roles": roles}, indent=2)
    write_durably(folder / RING_FILE, text.encode() + b"\n")


@dataclass(slots=True)
class Keyring:
    """Where the private keys lie; each is opened when it is first needed."""

    folders: Sequence[Path]
    passphrases: Passphrases
    _opened: dict[str, CryptoSigner] = field(default_factory=dict, repr=False)

    def has(self, role: str, keyid: str) -> bool:
        return keyid in self._opened or self._path(role, keyid) is not None

    def signers(self, role: str, keyids: Iterable[str]) -> Iterator[CryptoSigner]:
        """Those of a role's keys that are here. Raises UsageError for a wrong passphrase."""
        for keyid in keyids:
            if keyid not in self._opened and (path := self._path(role, keyid)) is not None:
                self._opened[keyid] = _open(path, role, keyid, self.passphrases)
            if keyid in self._opened:
                yield self._opened[keyid]

    def _path(self, role: str, keyid: str) -> Path | None:
        paths = (folder / file_name(role, keyid) for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)


def _open(path: Path, role: str, keyid: str, passphrases: Passphrases) -> CryptoSigner:
    try:
        document = json.loads(path.read_bytes())
        if (document["schema"], document["role"], document["keyid"]) != (KEY, role, keyid):
            raise ValueError(f"it is no {KEY} of {role} {keyid[:12]}")
        kdf, sealed = document["kdf"], str(document["sealed"]).encode()
        salt, public = base64.b64decode(kdf["salt"]), _public(keyid, document["public"])
        numbers = {name: int(kdf[name]) for name in KDF}
        if not (8 <= numbers["memory_kb"] <= 4_194_304 and 1 <= numbers["passes"] <= 100):
            raise ValueError("its kdf asks for too much")
        secret = _unlocking(passphrases.of(role), salt, **numbers)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise Refused(f"{path} is damaged: {fault}", "restore it from its copy") from None
    try:
        private = Ed25519PrivateKey.from_private_bytes(Fernet(secret).decrypt(sealed))
    except InvalidToken:
        raise UsageError(
            f"the passphrase does not open {path}", "type it again, or check the file it is in"
        ) from None
    return CryptoSigner(private, public)


@functools.lru_cache(maxsize=32)
def _unlocking(passphrase: bytes, salt: bytes, memory_kb: int, passes: int, lanes: int) -> bytes:
    """What seals and opens; slow on purpose, so once for all keys that were made together."""
    derived = Argon2id(
        salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kb
    ).derive(passphrase)
    return base64.urlsafe_b64encode(derived)


def _public(keyid: str, document: Mapping[str, Any]) -> SSlibKey:
    key = SSlibKey.from_dict(keyid, json.loads(json.dumps(document)))
    if key.keytype != "ed25519":
        raise EdgeError(f"key {keyid[:12]} is {key.keytype}, ours are ed25519")
    return key


def ring_document(folder: Path, ring: Ring) -> dict[str, Any]:
    """`fleet-keys/1`."""
    return {
        "schema": "fleet-keys/1",
        "keys": [
            {
                "role": each.role,
                "keyid": each.keyid,
                "created": each.created,
                "threshold": ring.thresholds[each.role],
                "file": each.file,
                "here": (folder / each.file).is_file(),
            }
            for each in ring.keys
        ],
    }
