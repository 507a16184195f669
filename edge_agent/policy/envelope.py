"""A message becomes the bytes that leave: the envelope of the contract, and an alert's 800 bytes.

Pure. The same message gives the same `seq` and `id` however often it is sent; only `session` and
`late` may differ. What an alert loses to its limit can be fetched again from the device by its id,
so an alert is always sent, however long its names are. docs/mqtt.md explains each key.
Read `uplink/publisher.py` next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.policy.documents import dump, rfc3339
from edge_agent.types import Message

Body: TypeAlias = dict[str, Any]

#: An older message says so.
LATE_S = 60.0
ALERT_LIMIT = OTA_LIMIT = 800
SUMMARY_LIMIT = 1000
#: Digits of a hash that remain in an alert that is too long: enough to tell two models apart.
HASH_DIGITS = 12
#: Bytes that every text may keep, tried in turn until the alert fits.
TEXT_BYTES = (160, 64, 32, 16, 8, 4)
#: Bytes that the reason of a report may keep, tried in turn until the report fits.
REASON_BYTES = (200, 120, 60, 24)
#: What a receiver needs to know the event again is never shortened.
IDENTITY = frozenset({"schema", "id", "opened", "closed", "priority", "phase"})


@frozen
class Sender:
    """Who sends: the device, its store's UUID, and the number of this connection."""

    device: str
    store: str
    session: int


def envelope(message: Message, sender: Sender, now: float) -> Body:
    """The document that leaves. `now` is on the clock that `message.time` was read from."""
    late = {"late": True} if now - message.time > LATE_S else {}
    return {
        "schema": f"mqtt-{message.topic}/1",
        "device": sender.device,
        "store": sender.store,
        "boot": message.boot,
        "session": sender.session,
        "seq": message.seq,
        "id": message.id,
        "time": rfc3339(message.time),
        "clock": message.clock,
        **late,
        "data": message.body,
    }


def encode(message: Message, sender: Sender, now: float) -> bytes:
    """Compact UTF-8 JSON; an alert or a report is shortened to 800 bytes where its texts are too
    long."""
    document = envelope(message, sender, now)
    payload = to_bytes(document)
    limit, shorter = _LIMITED.get(message.topic, (len(payload), shorten))
    if len(payload) > limit:
        room = limit - len(to_bytes({**document, "data": {}})) + len("{}")
        payload = to_bytes({**document, "data": shorter(message.body, room)})
    return payload


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """Half a character (of a file name that is no UTF-8) becomes a question mark."""
    return dump(document).encode("utf-8", "replace")


def shorten(event: Mapping[str, Any], limit: int) -> Body:
    """`event/1` in at most `limit` bytes: what matters least goes first.

    `"cut": true` where anything is missing that the contract promises of an event.
    """
    body = _without(event, "box", "frame")
    if len(to_bytes(body)) <= limit:
        return body
    body["cut"] = True
    for step in _steps():
        body = step(body)
        if len(to_bytes(body)) <= limit:
            break
    return body


def shorten_report(report: Mapping[str, Any], limit: int) -> Body:
    """A report of topic `ota` in at most `limit` bytes: the hash of what was before goes first,
    then the end of the reason, then numbers, the last one first, and with names in scripts of four
    bytes a letter the rest of the hash and the ends of the names."""
    body = dict(report)
    if (before := body.get("before")) is not None:
        body["before"] = {**before, "sha256": before["sha256"][:HASH_DIGITS]}
    for most in REASON_BYTES:
        if len(to_bytes(body)) <= limit:
            return body
        body["reason"] = cut(str(body["reason"]), most)
    numbers = dict(body["numbers"])
    while numbers and len(to_bytes(body)) > limit:
        numbers.popitem()
        body["numbers"] = dict(numbers)
    if len(to_bytes(body)) > limit:
        body["sha256"] = body["sha256"][:HASH_DIGITS]
        body = _shorter(body, REASON_BYTES[-1])
    return body


_LIMITED = {"alert": (ALERT_LIMIT, shorten), "ota": (OTA_LIMIT, shorten_report)}


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of JSON, whole characters, with an ellipsis where cut."""
    if _json_bytes(text) <= limit:
        return text
    kept = text[:limit]
    while kept and _json_bytes(kept + "…") > limit:
        kept = kept[:-1]
    return kept + "…"


def _json_bytes(text: str) -> int:
    """Bytes of `text` as it stands in a document, without its two quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def _steps() -> list[Callable[[Body], Body]]:
    return [
        _name_evidence_only,
        lambda body: _shorter(body, HASH_DIGITS, only=frozenset({"sha256", "config_sha256"})),
        lambda body: {**body, "evidence": []},
        lambda body: _without(body, "advice"),
        *(lambda body, limit=limit: _shorter(body, limit) for limit in TEXT_BYTES),
    ]


def _name_evidence_only(body: Body) -> Body:
    named = [
        {key: item[key] for key in ("kind", "path") if key in item}
        for item in body.get("evidence", ())
    ]
    return {**body, "evidence": named}


def _without(body: Mapping[str, Any], *keys: str) -> Body:
    return {key: value for key, value in body.items() if key not in keys}


def _shorter(body: Body, limit: int, only: frozenset[str] | None = None) -> Body:
    """Every text of at most `limit` bytes, at any depth; with `only`, those keys, cut plainly."""

    def short(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: short(name, item) for name, item in value.items()}
        if not isinstance(value, str) or key in IDENTITY:
            return value
        if only is None:
            return cut(value, limit)
        return value[:limit] if key in only else value

    return {key: short(key, value) for key, value in body.items()}
