"""The outbox onto a stick, where no network ever comes: `edge-agent outbox export DIR`.

    stick/edge-outbox/<store>/000000000041.jsonl    a part: one envelope a line, as over MQTT
                              manifest-000007.json  names each part, with its sha256

Rules: what leaves first over MQTT leaves first here, in the order of seq. After each part a new
manifest is written beside the old one, which goes then: whenever the stick is pulled out, one whole
manifest is on it, and names only whole parts. Repeating the command goes on where it ended; parts
that were confirmed meanwhile are taken away. Nothing is marked sent: that is the receipt's
(`receipt.py`). The formats are in `policy/stick.py`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_agent.durable import DRAFT, make_folder, write_durably
from edge_agent.errors import NoRoom, ReadOnly
from edge_agent.frozen import frozen
from edge_agent.host.removable import (
    read_plain,
    remove,
    require_folder,
    stick_errors,
)
from edge_agent.policy import spans, stick
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.envelope import Sender, envelope, to_bytes
from edge_agent.policy.spans import Spans
from edge_agent.policy.stick import Manifest, Part, Waiting
from edge_agent.store.query import Reader
from edge_agent.types import Message

#: Rows read at once.
BATCH = 200
#: Sessions count connects; a stick is none.
NO_SESSION = 0
#: A manifest of a million messages has 150 kB; more than this is not ours.
LONGEST_MANIFEST = 16_000_000


#: Kept free on the stick, so that the next manifest always has room.
RESERVE = 256 * 1024


@frozen
class Exported:
    """What is on the stick now, and what this run added; `topics` counts the added ones."""

    folder: Path
    messages: int
    size: int
    added: int
    removed: int  # confirmed ones, of earlier exports
    topics: dict[str, int]


def export(
    reader: Reader, device: str, folder: Path, now: float, limit: int | None = None
) -> Exported:
    """Everything that waits, in at most `limit` bytes.

    Raises NoRoom when not all of it has room (what has is on the stick), UsageError, EdgeError.
    """
    require_folder(folder)
    run = _Export(reader, device, folder, now)
    try:
        with stick_errors(folder):
            run.take_up()
            run.add_all(limit)
    except ReadOnly:
        raise
    except NoRoom:
        raise NoRoom(
            f"{folder} is full: {run.held} of {run.held + run.waiting} waiting messages are on it",
            "take it to the desk; when its receipt was read here, export the rest",
        ) from None
    return run.result()


class _Export:
    """One run of the command."""

    def __init__(self, reader: Reader, device: str, folder: Path, now: float) -> None:
        identity, depth = reader.identity(), reader.depth()
        self._reader = reader
        self._home = folder / stick.FOLDER / identity.store
        self._now = now
        self._sender = Sender(device, identity.store, NO_SESSION)
        self._depth = depth
        self._parts: tuple[Part, ...] = ()
        self._generation = 0
        self._seqs: Spans = ()  # those on the stick
        self._confirmed = 0  # of those: sent meanwhile
        self._topics: Counter[str] = Counter()
        self._removed = 0

    @property
    def held(self) -> int:
        """Messages on the stick that still wait for their receipt."""
        return spans.count(self._seqs) - self._confirmed

    @property
    def waiting(self) -> int:
        """Those that are not on it."""
        return max(0, self._depth.depth - self.held)

    def result(self) -> Exported:
        size = sum(part.size for part in self._parts)
        topics = dict(sorted(self._topics.items()))
        messages = spans.count(self._seqs)
        return Exported(self._home, messages, size, sum(topics.values()), self._removed, topics)

    # --- what an earlier run left -------------------------------------------------------------

    def take_up(self) -> None:
        """Keep the whole parts of which something still waits; the rest of the folder goes."""
        make_folder(self._home.parent)
        make_folder(self._home)
        names = {entry.name for entry in self._home.iterdir()}
        for part in self._found(stick.newest(names)):
            seqs = self._seqs_in(part)
            waiting = self._reader.unsent_between(part.first, part.last) if seqs else ()
            if spans.both(seqs, waiting):
                self._parts += (part,)
                self._seqs = spans.joined(self._seqs + seqs)
                self._confirmed += spans.count(spans.without(seqs, waiting))
            elif seqs:
                self._removed += part.messages
        self._write_manifest()
        kept = {part.file for part in self._parts}
        for name in names - kept:
            if stick.PART_NAME.fullmatch(name) or name.startswith(DRAFT):
                remove(self._home / name)

    def _found(self, manifests: Sequence[str]) -> tuple[Part, ...]:
        """The parts that the newest whole manifest names."""
        for name in manifests:
            generation = int(name.removeprefix("manifest-").removesuffix(".json"))
            self._generation = max(self._generation, generation)
        for name in manifests:
            content = read_plain(self._home / name, LONGEST_MANIFEST)
            try:
                found = stick.read_manifest(content or b"")
            except stick.Damaged:
                continue
            is_ours = (found.device, found.store) == (self._sender.device, self._sender.store)
            return found.parts if is_ours else ()
        return ()

    def _seqs_in(self, part: Part) -> Spans:
        """None of them where the part is not what its manifest says: it is written anew."""
        content = read_plain(self._home / part.file, part.size)
        if content is None or hashlib.sha256(content).hexdigest() != part.sha256:
            return ()
        return spans.of(json.loads(line)["seq"] for line in content.splitlines())

    # --- what this run adds -------------------------------------------------------------------

    def add_all(self, limit: int | None) -> None:
        for urgent in (True, False):
            draft = _Draft()
            for message in self._unsent(urgent):
                line = to_bytes(envelope(message, self._sender, self._now)) + b"\n"
                if not draft.takes(line):
                    self._add(draft, limit)
                    draft = _Draft()
                draft.add(message, line)
            if draft.seqs:
                self._add(draft, limit)

    def _unsent(self, urgent: bool) -> Iterator[Message]:
        """What waits and is not on the stick."""
        after = 0
        while batch := self._reader.unsent(after, BATCH, urgent=urgent):
            for message in batch:
                assert message.seq is not None  # a row of the outbox
                after = message.seq
                if not spans.has(self._seqs, after):
                    yield message

    def _add(self, draft: _Draft, limit: int | None) -> None:
        disk = os.statvfs(self._home)
        free = disk.f_bavail * disk.f_frsize
        held = sum(part.size for part in self._parts)
        if len(draft.content) + RESERVE > free or held + len(draft.content) > (limit or math.inf):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = draft.part()
        write_durably(self._home / part.file, bytes(draft.content))
        before = self._parts, self._seqs
        self._parts += (part,)
        self._seqs = spans.joined(self._seqs + spans.of(draft.seqs))
        try:
            self._write_manifest()
        except OSError:
            self._parts, self._seqs = before  # nobody believes a part without a manifest
            raise
        self._topics.update(draft.topics)

    def _write_manifest(self) -> None:
        """A new one beside the old ones, which go when it is on the medium."""
        depth = self._depth
        waiting = Waiting(last_seq=depth.last_seq)
        if self.waiting:
            waiting = Waiting(self.waiting, depth.oldest_seq, depth.newest_seq, depth.last_seq)
        made = rfc3339(self._now)
        manifest = Manifest(self._sender.device, self._sender.store, made, waiting, self._parts)
        self._generation += 1
        name = stick.manifest_name(self._generation)
        write_durably(self._home / name, stick.write_manifest(manifest))
        for entry in self._home.iterdir():
            if stick.MANIFEST_NAME.fullmatch(entry.name) and entry.name != name:
                remove(entry)


class _Draft:
    """A part that is being put together."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.seqs: list[int] = []
        self.topics: Counter[str] = Counter()

    def takes(self, line: bytes) -> bool:
        """The first line always has room."""
        is_full = len(self.seqs) >= stick.PART_MESSAGES
        return not self.seqs or not (is_full or len(self.content) + len(line) > stick.PART_BYTES)

    def add(self, message: Message, line: bytes) -> None:
        assert message.seq is not None  # a row of the outbox
        self.content += line
        self.seqs.append(message.seq)
        self.topics[message.topic] += 1

    def part(self) -> Part:
        first, last = self.seqs[0], self.seqs[-1]
        sha256 = hashlib.sha256(self.content).hexdigest()
        name = stick.part_name(first)
        return Part(name, first, last, len(self.seqs), len(self.content), sha256)
