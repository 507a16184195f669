"""What is known of one pipeline around one moment: for "why did nothing happen at 08:15?".

From the database alone: the ledger's window, events, the nearest miss of each rule, the skips.
Rules: of each rule and of each reason of a skip only the entry closest in time is told; of two
equally close misses the one that got further. Read `cli/why.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.documents import decision_document, rfc3339
from edge_agent.service.journal import QUIET_S, is_quiet
from edge_agent.service.ledger import frames_document
from edge_agent.service.moments import duration
from edge_agent.store.query import Reader
from edge_agent.store.rows import FramesRow, Judged, StoredEvent
from edge_agent.types import Ledger

#: What lies further away than this says nothing about the moment that was asked for, unless it
#: stands for a quiet time (journal.py) in which the agent was at work.
NEAR_S = 60.0
#: So many entries are looked through on each side; every ten seconds leave one per rule and reason.
LOOKED_THROUGH = 400
#: An event that is open for longer than so many others is too rare to be looked for.
EARLIER_EVENTS = 200


@frozen
class Hindsight:
    """`window` is the ledger's row that holds the moment; `gap` says why there is none."""

    pipeline: str
    time: float
    window: FramesRow | None
    gap: str
    events: tuple[StoredEvent, ...]  # open then, or opened within NEAR_S, by opening
    misses: tuple[Judged, ...]  # one a rule: the one that got furthest first
    skips: tuple[Judged, ...]  # one a reason, by time
    oldest: float | None  # since when misses and skips are kept; None where these are here

    @property
    def verdict(self) -> str:
        """What came of it, in one sentence."""
        frames = self.window
        if any(_was_given_up(miss) for miss in self.misses):
            return "An event was raised then and could not be kept: the disk took no writes."
        if any(_was_open(stored, self.time) for stored in self.events):
            return "An event was open at that moment."
        if self.events:
            return "No event at that moment, but within a minute of it."
        if frames is not None and frames.inferred == 0:
            counts = {**frames.skipped, "failed": frames.failed}
            most = max(counts, key=lambda reason: counts[reason])
            return f"No event: not one frame was inferred, {counts[most]} of them: {most}."
        if self.misses:
            return "No event: every rule stopped somewhere."
        return "No event, and nothing was kept that says why."


def hindsight(reader: Reader, pipeline: str, time: float, now: float) -> Hindsight:
    """Everything that the store of `reader` knows of that moment."""
    row = reader.window_at(pipeline, time)
    window = None if row is None or row.unaccounted_s else row
    near = [
        judged
        for judged in reader.near(pipeline, time, LOOKED_THROUGH)
        if abs(judged.time - time) <= (QUIET_S if window and is_quiet(judged) else NEAR_S)
    ]
    misses = _closest((judged for judged in near if judged.kind == "miss"), time)
    skips = _closest((judged for judged in near if judged.kind == "skip"), time)
    return Hindsight(
        pipeline=pipeline,
        time=time,
        window=window,
        gap="" if window else _gap(reader, row, pipeline, (time, now)),
        events=_events(reader, pipeline, time),
        misses=tuple(sorted(misses, key=lambda miss: -len(miss.decisions))),
        skips=tuple(sorted(skips, key=lambda skip: skip.time)),
        oldest=None if misses or skips else _oldest(reader, pipeline),
    )


def document(found: Hindsight) -> dict[str, Any]:
    """`why/1`."""
    row = found.window
    ledger = None
    if row is not None:
        frames = Ledger(row.captured, row.inferred, row.skipped, row.failed, 0)
        ledger = {
            "from": rfc3339(row.began),
            "to": rfc3339(row.ended),
            "frames": frames_document(frames),
        }
    return {
        "schema": "why/1",
        "pipeline": found.pipeline,
        "at": rfc3339(found.time),
        "verdict": found.verdict,
        "ledger": ledger,
        "gap": found.gap or None,
        "events": [_event_entry(stored) for stored in found.events],
        "misses": [_entry(miss) for miss in found.misses],
        "skips": [_entry(skip) for skip in found.skips],
        "kept_since": None if found.oldest is None else rfc3339(found.oldest),
    }


def _closest(entries: Iterable[Judged], time: float) -> list[Judged]:
    """Of each rule, or reason of a skip, the one closest in time; what was raised stands apart."""
    found: dict[object, Judged] = {}
    for entry in sorted(entries, key=lambda each: (abs(each.time - time), -len(each.decisions))):
        kind = entry.rule or entry.decisions[0].numbers.get("reason")
        found.setdefault((kind, _was_given_up(entry)), entry)
    return list(found.values())


def _events(reader: Reader, pipeline: str, time: float) -> tuple[StoredEvent, ...]:
    earlier = reader.events_before(pipeline, time + NEAR_S, EARLIER_EVENTS)
    return tuple(
        stored
        for stored in reversed(earlier)
        if stored.event.opened >= time - NEAR_S or _was_open(stored, time)
    )


def _was_open(stored: StoredEvent, time: float) -> bool:
    event = stored.event
    return event.opened <= time and (event.closed is None or time <= event.closed)


def _was_given_up(miss: Judged) -> bool:
    return miss.decisions[-1].stage == "store"


def _gap(reader: Reader, row: FramesRow | None, pipeline: str, moments: tuple[float, float]) -> str:
    """Why the ledger has no account of a moment; `moments` are that one and now."""
    time, now = moments
    if row is not None:
        lost = duration(row.unaccounted_s)
        return f"the agent was killed or lost power: up to {lost} of the ledger were never written"
    if time > now:
        return "that moment is yet to come"
    last = reader.last_status().windows.get(pipeline)
    if last is not None and time >= last.ended:
        ago = duration(max(0.0, now - last.ended))
        return f"the ledger was last written {ago} ago: later the agent was off, or is yet to write"
    return "the agent was off then"


def _oldest(reader: Reader, pipeline: str) -> float | None:
    """Since when misses and skips are kept: the one closest to the beginning of time."""
    first = reader.near(pipeline, 0.0, LOOKED_THROUGH)
    return next((judged.time for judged in first if judged.kind != "event"), None)


def _event_entry(stored: StoredEvent) -> dict[str, Any]:
    event = stored.event
    return {
        "id": event.id,
        "rule": event.rule,
        "text": event.text,
        "opened": rfc3339(event.opened),
        "closed": None if event.closed is None else rfc3339(event.closed),
    }


def _entry(judged: Judged) -> dict[str, Any]:
    return {
        "rule": judged.rule,
        "time": rfc3339(judged.time),
        "frame": judged.frame,
        "track": judged.track,
        "label": judged.label,
        "decisions": [decision_document(decision) for decision in judged.decisions],
    }
