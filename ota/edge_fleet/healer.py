"""Asks devices to send again what is missing here: `edge-fleet collect --heal`.

Rules: one command a store and minute at most, with what is known to be missing, and only while
nothing comes in: what is on its way is not missing. A device sends again what it still has, and
declares the rest lost, so every answer makes the proof more complete or says why it cannot.
Commands are in docs/mqtt.md.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Protocol

from edge_agent.policy import spans
from edge_agent.policy.documents import dump
from edge_agent.policy.spans import Spans
from edge_fleet.archive import Archive
from edge_fleet.completeness import account

log = logging.getLogger("edge_fleet.collect")

EVERY_S = 60.0
#: After something came in, so long.
SOON_S = 1.0
#: What one `resend` of a device may ask for, and what fits well into one message.
MOST_NUMBERS = 10_000
MOST_RANGES = 1_000


class Asking(Protocol):
    """`subscriber.Link`, by shape."""

    def command(self, device: str, name: str, payload: bytes, expiry_s: int) -> None: ...


class Healer:
    """What was asked for, and what devices answered. Used by the subscriber's thread alone."""

    def __init__(self) -> None:
        self._look_at = 0.0  # the archive is looked through then
        self._rest: dict[str, float] = {}  # by store: when it may be asked again
        self._asked: dict[str, tuple[str, float]] = {}  # by id: device, when it was asked
        self._commands = 0

    def arrived(self, now: float) -> None:
        """Something came in: look soon, when no more comes."""
        self._look_at = min(self._look_at, now + SOON_S)

    def step(self, link: Asking, archive: Archive, now: float) -> None:
        """Ask every store of which something is missing, where its time has come."""
        if now < self._look_at:
            return
        self._look_at = now + EVERY_S
        self._tell_silent(now)
        for stream in archive.streams():
            missing = first_of(account(stream.heard).missing)
            if not missing or now < self._rest.get(stream.store, 0.0):
                continue
            if stream.heard.successor is not None:
                continue  # that store is no more
            self._rest[stream.store] = now + EVERY_S
            self._commands += 1
            id_ = f"heal-{time.time_ns():x}-{self._commands}"  # new to the device, whoever asks
            args = {"store": stream.store, "ranges": spans.document(missing)}
            command = dump({"id": id_, "args": args}).encode()
            link.command(stream.device, "resend", command, int(EVERY_S))
            self._asked[id_] = stream.device, now
            log.info("asked %s to send again: %s", stream.device, spans.text(missing))

    def replied(self, topic: str, payload: bytes) -> None:
        """A device's answer; those to other people's commands are none of ours."""
        device, _ = self._asked.pop(topic.rpartition("/")[2], (None, 0.0))
        if device is None:
            return
        try:
            reply = json.loads(payload)
            if reply["ok"]:
                data = reply["data"]
                gone = spans.count(spans.parse(data["gone"]))
                log.info("%s sends %s again, and has %d no more", device, data["queued"], gone)
            else:
                log.warning("%s does not send again: %s", device, reply["error"]["message"])
        except (ValueError, KeyError, TypeError) as nonsense:
            log.warning("%s answers nonsense: %s", device, nonsense)

    def _tell_silent(self, now: float) -> None:
        silent = {id_: device for id_, (device, at) in self._asked.items() if now - at >= EVERY_S}
        for device in sorted(set(silent.values())):
            log.warning(
                "%s did not answer: is it online, and does its mqtt.commands list resend?", device
            )
        for id_ in silent:
            del self._asked[id_]


def first_of(missing: Spans) -> Spans:
    """As much of it, from its beginning, as one command may ask for."""
    taken: list[spans.Span] = []
    left = MOST_NUMBERS
    for first, last in missing[:MOST_RANGES]:
        if left <= 0:
            break
        last = min(last, first + left - 1)
        taken.append((first, last))
        left -= last - first + 1
    return tuple(taken)
