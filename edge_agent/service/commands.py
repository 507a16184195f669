"""What each command that comes by MQTT does; only what the configuration allows is reachable.

Rules: a handler takes `args`, which anybody may have written, and returns `data` of the reply or
raises EdgeError with a sentence. It takes seconds at most. Pictures stay on the device unless
`{snapshot: {publish: true}}` allows that. docs/mqtt.md explains each. Read `uplink/inbox.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_agent import __version__
from edge_agent.config.commands import Allowed
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy import spans, stick
from edge_agent.policy.documents import event_document, rfc3339
from edge_agent.service.receipt import acknowledge
from edge_agent.service.runner import Runner
from edge_agent.store.evidence import save_still
from edge_agent.store.labels import Label
from edge_agent.store.query import reader_beside
from edge_agent.store.record import Store
from edge_agent.uplink.inbox import Handler

#: Numbers that one `resend` may ask for: it is one transaction.
MOST_RESENT = 10_000
#: Shorter than a stop of the agent waits for its threads.
PICTURE_S = 1.5


@frozen
class Reach:
    """What commands may reach of the running agent."""

    state: Path
    store: Store
    now: Callable[[], float]
    told: Callable[[float], float]  # a moment of `now` as others are told of it
    runners: Callable[[], Mapping[str, Runner]]
    pause: Callable[[str | None], dict[str, Any]]
    resume: Callable[[str | None], dict[str, Any]]
    resent: Callable[[], None]  # told that rows which were sent wait once more
    check: Callable[[], dict[str, Any]]  # the repository of models, as soon as possible
    rollback: Callable[[Mapping[str, Any]], dict[str, Any]]  # a model: {"name", "reason"}
    rollback_policy: Callable[[Mapping[str, Any]], dict[str, Any]]  # the same of a policy


def handlers(allowed: Allowed, reach: Reach) -> dict[str, Handler]:
    """The allowed commands by name."""
    every: dict[str, Handler] = {
        "ping": lambda args: _ping(reach),
        "detail": lambda args: _detail(reach, _text(args, "event")),
        "snapshot": lambda args: _snapshot(reach, _text(args, "pipeline"), allowed.publish),
        "resend": lambda args: _resend(reach, args),
        "pause": lambda args: reach.pause(_maybe_text(args, "pipeline")),
        "resume": lambda args: reach.resume(_maybe_text(args, "pipeline")),
        "ack": lambda args: _ack(reach, args),
        "label": lambda args: _label(reach, _text(args, "event"), args.get("label")),
        "ota-check": lambda args: reach.check(),
        "rollback": lambda args: _rollback(reach, args),
    }
    return {name: every[name] for name in allowed.names}


def _ping(reach: Reach) -> dict[str, Any]:
    identity, depth = reach.store.identity, reach.store.outbox.depth()
    return {
        "version": __version__,
        "store": identity.store,
        "boot": identity.boot,
        "time": rfc3339(reach.told(reach.now())),
        "pending": {
            "depth": depth.depth,
            "oldest_seq": depth.oldest_seq,
            "newest_seq": depth.newest_seq,
            "last_seq": depth.last_seq,
        },
    }


def _detail(reach: Reach, event: str) -> dict[str, Any]:
    """`event/1` whole, with the decisions that led to it."""
    with reader_beside(reach.store.database) as reader:
        stored = reader.event(event)
    return event_document(stored.event, stored.about)


def _snapshot(reach: Reach, pipeline: str, publish: bool) -> dict[str, Any]:
    runners = reach.runners()
    if pipeline not in runners:
        raise UsageError(
            f"there is no pipeline {pipeline!r}", f"it runs: {', '.join(sorted(runners))}"
        )
    frame = runners[pipeline].still.take(PICTURE_S)
    if frame is None:
        raise EdgeError(f"no frame came within {PICTURE_S:g} s", "ask again: the next one is kept")
    if frame.data.ndim != 3:
        raise UsageError(f"{pipeline} watches a signal, which has no picture")
    entry = save_still(reach.state, frame.time, frame.data)
    answer = {"pipeline": pipeline, "time": rfc3339(reach.told(frame.time)), "evidence": entry}
    if publish:
        answer["image"] = base64.b64encode((reach.state / entry["path"]).read_bytes()).decode()
    return answer


def _resend(reach: Reach, args: Mapping[str, Any]) -> dict[str, Any]:
    store = reach.store.identity.store
    if args.get("store", store) != store:
        raise UsageError(f"this is store {store}, not {str(args['store'])[:40]}")
    try:
        asked = spans.parse(args.get("ranges"))
    except ValueError as fault:
        raise UsageError(str(fault), 'write {"ranges": [[first, last]]}') from None
    if spans.count(asked) > MOST_RESENT:
        raise UsageError(
            f"{spans.count(asked)} numbers are too many", f"ask for {MOST_RESENT} at a time"
        )
    done = reach.store.outbox.resend(asked, reach.now())
    if done.asked:
        reach.resent()
    return {
        "queued": done.queued,
        "gone": spans.document(done.gone),
        "lost": done.lost,
    }


def _ack(reach: Reach, args: Mapping[str, Any]) -> dict[str, Any]:
    """A receipt of the desk, as `outbox ack` reads it."""
    try:
        receipt = stick.receipt_of(args)
    except stick.Damaged as fault:
        raise Refused(f"the receipt is damaged: {fault}") from None
    reach.store.database.commit()  # the reader is to see what was deferred
    with reader_beside(reach.store.database) as reader:
        done = acknowledge(reach.store, reader, receipt)
    return {"confirmed": done.confirmed, "known": done.known, "gone": done.gone}


def _label(reach: Reach, event: str, label: object) -> dict[str, Any]:
    if not isinstance(label, bool):
        raise UsageError("args has no label, true or false", 'write {"event": ID, "label": true}')
    with reader_beside(reach.store.database) as reader:
        found = reader.event(event).event.id
    reach.store.label(Label(found, label, reach.told(reach.now()), "mqtt"))
    return {"event": found, "label": label}


def _rollback(reach: Reach, args: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model (`name`), or of a policy (`policy`), which may be called the same."""
    named = [key for key in ("name", "policy") if args.get(key) is not None]
    if len(named) != 1:
        said = "both a model and a policy" if named else "neither a model nor a policy"
        raise UsageError(
            f"args names {said}", 'write {"name": "MODEL"}, or {"policy": "POLICY"}: one at a time'
        )
    reason = {"reason": _maybe_text(args, "reason")}
    if named == ["name"]:
        return reach.rollback({"name": _text(args, "name"), **reason})
    done = reach.rollback_policy({"name": _text(args, "policy"), **reason})
    return {"policy": done["name"], "version": done["version"]}


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str) or not value:
        raise UsageError(f"args has no {key}, a text", f'write {{"{key}": "..."}}')
    return value


def _maybe_text(args: Mapping[str, Any], key: str) -> str | None:
    return None if args.get(key) is None else _text(args, key)
