"""Messages that leave on a stick: its files, the receipt that comes back, and how each is checked.

Pure; the device (`service/stick.py`, `service/receipt.py`) and the desk (`edge_fleet`) share it.
On the stick, per store, a folder with parts (one envelope a line, as over MQTT) and a manifest that
names each with its sha256. Only what a manifest names is believed, and a manifest and a receipt
carry the hash of themselves. A receipt bears a tag for every message, made of its content: who
never had a message cannot confirm it. docs/fleet.md explains every key. Read `service/stick.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy import spans
from edge_agent.policy.correction import timeless
from edge_agent.policy.documents import dump
from edge_agent.policy.spans import Spans

#: On the stick; below it one folder per store, named by its UUID.
FOLDER = "edge-outbox"
#: A part holds at most so many messages and bytes: what a pulled-out stick costs.
PART_MESSAGES = 1000
PART_BYTES = 1_000_000
#: Names that every file system of a stick has, in any case.
PART_NAME = re.compile(r"[0-9]{12}\.jsonl")
MANIFEST_NAME = re.compile(r"manifest-([0-9]{6})\.json")
STORE_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RECEIPT = "receipt.json"
#: Hexadecimal digits of a message's tag.
TAG_DIGITS = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen
class Part:
    """One file of messages."""

    file: str
    first: int
    last: int
    messages: int
    size: int
    sha256: str


@frozen
class Waiting:
    """What the device still holds and did not send: how many, and the ends of their range."""

    depth: int = 0
    oldest_seq: int | None = None
    newest_seq: int | None = None
    last_seq: int = 0  # the newest seq given so far, sent or not


@frozen
class Manifest:
    """What is on the stick of one store. `waiting`: what is neither sent nor on the stick."""

    device: str
    store: str
    made: str
    waiting: Waiting
    parts: tuple[Part, ...] = ()


@frozen
class Receipt:
    """What the desk has stored of one store. `tags`: of each message in `seqs`, ascending."""

    device: str
    store: str
    made: str
    seqs: Spans
    tags: tuple[str, ...]


class Damaged(ValueError):
    """It is not what was written; the message says in which way."""


def part_name(first: int) -> str:
    return f"{first:012}.jsonl"


def manifest_name(generation: int) -> str:
    return f"manifest-{generation:06}.json"


def tag(store: str, seq: int, id_: str, topic: str, data: Mapping[str, Any]) -> str:
    """What only somebody who has the message can know of it.

    Not its times: a device that hears of a time server later puts those right.
    """
    content = dump([store, seq, id_, topic, timeless(topic, data)])
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:TAG_DIGITS]


# --- to and from the files -----------------------------------------------------------------------


def write_manifest(manifest: Manifest) -> bytes:
    parts = [
        {
            "file": part.file,
            "first": part.first,
            "last": part.last,
            "messages": part.messages,
            "bytes": part.size,
            "sha256": part.sha256,
        }
        for part in manifest.parts
    ]
    return _sealed(
        {
            "schema": "outbox-export/1",
            "device": manifest.device,
            "store": manifest.store,
            "made": manifest.made,
            "pending": {
                "depth": manifest.waiting.depth,
                "oldest_seq": manifest.waiting.oldest_seq,
                "newest_seq": manifest.waiting.newest_seq,
                "last_seq": manifest.waiting.last_seq,
            },
            "parts": parts,
        }
    )


def read_manifest(content: bytes) -> Manifest:
    """Raises Damaged."""
    document = _unsealed(content, "outbox-export/1")
    parts = document.get("parts")
    if not isinstance(parts, list):
        raise Damaged("it lacks parts")
    waiting = waiting_of(document.get("pending"))
    return Manifest(*_names(document), waiting, tuple(map(_part, parts)))


def waiting_of(document: Any) -> Waiting:
    """`pending` of a manifest or of `health`. Raises Damaged."""
    if not (isinstance(document, dict) and _is_number(document.get("depth"))):
        raise Damaged("pending has no depth")
    oldest, newest = document.get("oldest_seq"), document.get("newest_seq")
    last: Any = document.get("last_seq", newest or 0)
    if not (_is_number(oldest) and _is_number(newest) and document["depth"]):
        oldest = newest = None
    if not _is_number(last):
        raise Damaged("last_seq is no number")
    return Waiting(document["depth"] if oldest is not None else 0, oldest, newest, last)


def write_receipt(receipt: Receipt) -> bytes:
    return _sealed(
        {
            "schema": "outbox-receipt/1",
            "device": receipt.device,
            "store": receipt.store,
            "made": receipt.made,
            "ranges": spans.document(receipt.seqs),
            "tags": "".join(receipt.tags),
        }
    )


def read_receipt(content: bytes) -> Receipt:
    """Raises Damaged."""
    return receipt_of(_document(content))


def receipt_of(document: Mapping[str, Any]) -> Receipt:
    """Raises Damaged."""
    _check_seal(document, "outbox-receipt/1")
    try:
        seqs = spans.parse(document.get("ranges"))
    except ValueError as fault:
        raise Damaged(str(fault)) from None
    tags = document.get("tags")
    if not isinstance(tags, str) or len(tags) != TAG_DIGITS * spans.count(seqs):
        raise Damaged("it does not bear one tag for each message")
    cut = (tags[at : at + TAG_DIGITS] for at in range(0, len(tags), TAG_DIGITS))
    return Receipt(*_names(document), seqs, tuple(cut))


def receipt_for(manifest: Manifest, tags: Mapping[int, str], made: str) -> Receipt:
    """Confirms the messages of `tags`, by seq."""
    ordered = sorted(tags)
    return Receipt(
        manifest.device,
        manifest.store,
        made,
        spans.of(ordered),
        tuple(tags[seq] for seq in ordered),
    )


def newest(names: Iterable[str]) -> Sequence[str]:
    """The manifests among the names of a folder, the newest first."""
    return sorted((name for name in names if MANIFEST_NAME.fullmatch(name)), reverse=True)


def _sealed(document: Mapping[str, Any]) -> bytes:
    text = dump(document)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return f"{dump({**document, 'sha256': seal})}\n".encode()


def _unsealed(content: bytes, schema: str) -> Mapping[str, Any]:
    document = _document(content)
    _check_seal(document, schema)
    return document


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Damaged("it is not whole JSON") from None
    if not isinstance(document, dict):
        raise Damaged("it is no JSON object")
    return document


def _check_seal(document: Mapping[str, Any], schema: str) -> None:
    if document.get("schema") != schema:
        raise Damaged(f"it is no {schema} but {str(document.get('schema'))[:40]}")
    plain = {key: value for key, value in document.items() if key != "sha256"}
    try:
        seal = hashlib.sha256(dump(plain).encode()).hexdigest()
    except (ValueError, RecursionError):
        raise Damaged("it holds what JSON cannot") from None
    if seal != document.get("sha256"):
        raise Damaged("its content does not agree with its sha256")


def _names(document: Mapping[str, Any]) -> tuple[str, str, str]:
    device, store, made = (document.get(key) for key in ("device", "store", "made"))
    if not (isinstance(device, str) and isinstance(store, str) and isinstance(made, str)):
        raise Damaged("it lacks device, store or made")
    if not STORE_NAME.fullmatch(store):
        raise Damaged("its store is no UUID")
    return device, store, made


def _part(entry: Any) -> Part:
    if not isinstance(entry, dict):
        raise Damaged("a part is no object")
    file, sha256 = entry.get("file"), entry.get("sha256")
    numbers = [entry.get(key) for key in ("first", "last", "messages", "bytes")]
    if not (isinstance(file, str) and PART_NAME.fullmatch(file)):
        raise Damaged("a part has a name that no export gives")
    if not (
        isinstance(sha256, str) and _SHA256.fullmatch(sha256) and all(map(_is_number, numbers))
    ):
        raise Damaged(f"the entry of {file} lacks something")
    first, last, messages, size = (int(number or 0) for number in numbers)
    return Part(file, first, last, messages, size, sha256)


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= spans.LARGEST
