"""A stick at the desk: read what its manifests vouch for, store it, leave a receipt.

Rules: a stick is a stranger's. No link is followed, nothing larger than its manifest says is read,
and a part whose hash disagrees is not believed: it is told, and the rest is read. The receipt names
what is in the archive, on the disk, and nothing else; it is written last. Read `archive.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.durable import write_durably
from edge_agent.errors import UsageError
from edge_agent.host.removable import read_plain, require_folder, stick_errors
from edge_agent.policy import stick
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.stick import Damaged, Manifest, Part
from edge_fleet.archive import Archive
from edge_fleet.message import Malformed, Message, read

#: A manifest of a million messages has 150 kB.
LONGEST_MANIFEST = 16_000_000
#: A part is 1 MB, or one message that is larger.
LONGEST_PART = 2 * stick.PART_BYTES
#: A stick has so many stores at most.
MOST_STORES = 10_000


@dataclass(frozen=True, slots=True)
class Collected:
    """What one store's folder on the stick came to. `faults`: what was not believed, and why."""

    device: str
    store: str
    messages: int
    new: int
    conflicts: int
    receipt: Path | None
    faults: tuple[str, ...] = ()


def collect(folder: Path, archive: Archive, now: float) -> tuple[Collected, ...]:
    """Every store on the stick. Raises UsageError where there is none, NoRoom, EdgeError."""
    require_folder(folder)
    with stick_errors(folder):
        base = folder / stick.FOLDER
        if not base.is_dir():
            raise UsageError(
                f"there is no {stick.FOLDER} in {folder}",
                "on the device: edge-agent outbox export DIR",
            )
        homes = sorted(entry for entry in base.iterdir() if stick.STORE_NAME.fullmatch(entry.name))
        return tuple(_store(home, archive, now) for home in homes[:MOST_STORES])


def _store(home: Path, archive: Archive, now: float) -> Collected:
    manifest = _manifest(home)
    if manifest is None:
        return Collected("", home.name, 0, 0, 0, None, ("no whole manifest is on the stick",))
    faults: list[str] = []
    tags: dict[int, str] = {}
    new = conflicts = 0
    for part in manifest.parts:
        try:
            messages = _messages(home, part, manifest)
        except Damaged as fault:
            faults.append(f"{part.file}: {fault}")
            continue
        kept = archive.keep(messages, "stick", now)
        new += kept.new
        conflicts += kept.conflicting
        tags.update(_tags(messages))
    archive.waits(manifest.device, manifest.store, manifest.waiting, manifest.made, now)
    receipt = home / stick.RECEIPT
    write_durably(receipt, stick.write_receipt(stick.receipt_for(manifest, tags, rfc3339(now))))
    return Collected(
        manifest.device, manifest.store, len(tags), new, conflicts, receipt, tuple(faults)
    )


def _manifest(home: Path) -> Manifest | None:
    """The newest whole one that belongs where it lies."""
    for name in stick.newest(entry.name for entry in home.iterdir()):
        try:
            found = stick.read_manifest(read_plain(home / name, LONGEST_MANIFEST) or b"")
        except Damaged:
            continue
        if found.store == home.name:
            return found
    return None


def _messages(home: Path, part: Part, manifest: Manifest) -> list[Message]:
    """Raises Damaged: a part is believed whole or not at all."""
    content = read_plain(home / part.file, min(part.size, LONGEST_PART))
    if content is None:
        raise Damaged("it is missing, or larger than the manifest says")
    if hashlib.sha256(content).hexdigest() != part.sha256:
        raise Damaged("its content does not agree with the manifest")
    try:
        messages = [read(line) for line in content.splitlines()]
    except Malformed as fault:
        raise Damaged(f"a line is no message: {fault}") from None
    for message in messages:
        if (message.device, message.store) != (manifest.device, manifest.store):
            raise Damaged(f"a message is of {message.device}, store {message.store[:8]}")
        if message.seq is None:
            raise Damaged("a message has no number")
    return messages


def _tags(messages: Iterable[Message]) -> dict[int, str]:
    return {
        message.seq: stick.tag(message.store, message.seq, message.id, message.topic, message.data)
        for message in messages
        if message.seq is not None
    }
