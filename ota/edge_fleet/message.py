"""One message as it arrives, by MQTT or on a stick: checked here, trusted after.

Pure. Whoever sends may send anything: what is no envelope of docs/mqtt.md is `Malformed`, with a
sentence. What stands in `data` of topics other than `lost` is kept and not judged.
Read `archive.py` next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.policy import spans
from edge_agent.policy.spans import Spans
from edge_agent.policy.stick import STORE_NAME

#: Larger than any message that a device makes.
LARGEST = 1_000_000
_SCHEMA = re.compile(r"mqtt-([a-z]{1,32})/1")
_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EVENT = re.compile(r"[0-9a-f]{16}")
_CLOCKS = ("synced", "unsynced", "corrected")


class Malformed(ValueError):
    """It is no message of a device; the text says why."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a `lost` message declares. With `previous_store` it speaks of that store's numbers."""

    seqs: Spans
    reason: str
    counts: Mapping[str, int]
    previous_store: str | None
    previous_seq: int = 0  # the last number that store gave
    events: tuple[str, ...] = ()  # erased ones whose numbers the device does not know any more


@dataclass(frozen=True, slots=True)
class Message:
    """An envelope. `seq` is None on the topics that are not counted (`status`, `health`)."""

    device: str
    store: str
    boot: int
    session: int
    seq: int | None
    id: str
    topic: str
    time: str
    clock: str
    data: Mapping[str, Any]
    loss: Loss | None = None

    @property
    def is_cut(self) -> bool:
        """An alert that did not fit into 800 bytes."""
        return self.data.get("cut") is True


def read(payload: bytes) -> Message:
    """Raises Malformed."""
    if len(payload) > LARGEST:
        raise Malformed(f"{len(payload)} bytes are too many")
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    if not isinstance(document, dict):
        raise Malformed("no JSON object")
    schema = _SCHEMA.fullmatch(_text(document, "schema"))
    if schema is None:
        raise Malformed(f"schema {document['schema'][:40]!r} is none of a message")
    if not isinstance(document.get("data"), dict):
        raise Malformed("data is no object")
    message = Message(
        device=_matching(document, "device", _DEVICE),
        store=_matching(document, "store", STORE_NAME),
        boot=_number(document, "boot"),
        session=_number(document, "session"),
        seq=None if document.get("seq") is None else _number(document, "seq", least=1),
        id=_text(document, "id"),
        topic=schema[1],
        time=_text(document, "time"),
        clock=_text(document, "clock"),
        data=document["data"],
        loss=_loss(document["data"]) if schema[1] == "lost" else None,
    )
    if message.clock not in _CLOCKS:
        raise Malformed(f"clock {message.clock[:40]!r} is none of {', '.join(_CLOCKS)}")
    if message.loss is not None and message.seq is None:
        raise Malformed("a lost message without a seq")
    return message


def from_topic(topic: str, payload: bytes) -> Message:
    """As `read`, and it must speak of the device and the kind that its topic names."""
    message = read(payload)
    if topic != f"edge/v1/{message.device}/{message.topic}":
        raise Malformed(f"it speaks as {message.device}/{message.topic} on another topic")
    return message


def _loss(data: Mapping[str, Any]) -> Loss:
    try:
        seqs = spans.parse(data.get("ranges"))
    except ValueError as fault:
        raise Malformed(str(fault)) from None
    counts, previous = data.get("counts", {}), data.get("previous_store")
    if not (isinstance(counts, dict) and all(type(each) is int for each in counts.values())):
        raise Malformed("counts are no numbers by topic")
    if previous is not None:
        previous = _matching(data, "previous_store", STORE_NAME)
    last = 0 if data.get("previous_seq") is None else _number(data, "previous_seq")
    events = data.get("events", [])
    if not (isinstance(events, list) and all(_is_event(each) for each in events)):
        raise Malformed("events are no list of ids")
    return Loss(seqs, _text(data, "reason"), counts, previous, last, tuple(events))


def _is_event(value: object) -> bool:
    return isinstance(value, str) and _EVENT.fullmatch(value) is not None


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise Malformed(f"{key} is no text of at most 200 letters")
    return value


def _matching(document: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(document, key)
    if not pattern.fullmatch(value):
        raise Malformed(f"{key} {value[:40]!r} is not what one looks like")
    return value


def _number(document: Mapping[str, Any], key: str, least: int = 0) -> int:
    value = document.get(key)
    if type(value) is not int or not least <= value <= spans.LARGEST:
        raise Malformed(f"{key} is no number from {least} on")
    return value
