"""What becomes of an outcome: evidence on the disk, then events and messages in one transaction.

An event is acknowledged when its commit has returned; the log line is written after that. Evidence
is on the disk before the event refers to it. In the service a write that the disk refuses waits, in
order and bounded, and is offered again with the next one: inference goes on meanwhile. Read
`store/record.py` next.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.config.explain import PipelineSpec
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import About, alert_document, detection_document, dump, rounded
from edge_agent.store.evidence import save_snapshot, save_window
from edge_agent.store.record import Store
from edge_agent.store.rows import Batch, Draft, Opened
from edge_agent.types import Decision, Event, Outcome, Priority

log = logging.getLogger("edge_agent.events")

URGENT = 0  # an alert leaves before everything else
#: Writes that wait for the disk at most; beyond it the oldest is given up, and the log says so.
MOST_WAITING = 200


@frozen
class Desk:
    """Where the records of one pipeline go, and what they say of their origin."""

    store: Store
    spec: PipelineSpec
    about: About
    clock: Callable[[], str] = lambda: "synced"  # synced, unsynced, corrected
    committed: Callable[[], None] = lambda: None  # called after messages were committed
    #: Told at once of what opened and what closed, whatever the disk says: lamps must light.
    raised: Callable[[tuple[Event, ...], tuple[Event, ...]], None] = lambda opened, closed: None
    evidence: Path | None = None  # the state directory; None: no pictures are kept
    publish: bool = True  # False: no messages are written
    patient: bool = False  # what the disk refuses waits; otherwise it is an error


@frozen
class Entry:
    """One transaction that is to be written."""

    opened: tuple[Event, ...]
    closed: tuple[Event, ...]
    batch: Batch

    def without(self, unknown: set[str]) -> Entry:
        """The same but for the closing of events that the store never heard of."""
        if unknown.isdisjoint(event.id for event in self.closed):
            return self
        closed = tuple(event for event in self.closed if event.id not in unknown)
        gone = {f"{event}/close" for event in unknown}
        messages = tuple(draft for draft in self.batch.messages if draft.id not in gone)
        return Entry(self.opened, closed, replace(self.batch, closed=closed, messages=messages))


class Recorder:
    """Writes the events of one pipeline. Only its worker uses it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rules = {rule.name: rule for rule in desk.spec.rules}
        self._evidence: dict[str, tuple[Mapping[str, Any], ...]] = {}  # of open events
        self._waiting: deque[Entry] = deque()
        self._given_up: set[str] = set()  # events whose opening was, and which are open still
        self._refusal = ""
        self.opened = 0
        self.opened_by_rule: Counter[tuple[str, str]] = Counter()  # and priority
        self.closed = 0

    @property
    def waiting(self) -> int:
        """Writes that the disk has refused so far, and that are offered again."""
        return len(self._waiting)

    def record(self, outcome: Outcome) -> tuple[Event, ...]:
        """Store what opened and closed; the closed events with their evidence."""
        if not (outcome.opened or outcome.closed):
            return ()
        opened = tuple(self._with_evidence(event, outcome) for event in outcome.opened)
        return self._commit(opened, outcome.closed)

    def close(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Store events that were closed by a stop or by the end of the input."""
        return self._commit((), events) if events or self._waiting else ()

    def _commit(self, opened: tuple[Event, ...], closed: tuple[Event, ...]) -> tuple[Event, ...]:
        closed = tuple(
            replace(event, evidence=self._evidence.pop(event.id, ())) for event in closed
        )
        self._desk.raised(opened, closed)
        about = self._desk.about
        drafts = tuple(
            self._draft(event)
            for event in (*opened, *closed)
            if self._desk.publish and event.priority is Priority.ALERT
        )
        batch = Batch(tuple(Opened(event, about) for event in opened), closed, messages=drafts)
        self.opened += len(opened)
        self.opened_by_rule.update((event.rule, event.priority.value) for event in opened)
        self.closed += len(closed)
        self._waiting.append(Entry(opened, closed, batch))
        self._write()
        return closed

    def _write(self) -> None:
        """Write what waits, in order, until the disk refuses."""
        while self._waiting:
            entry = self._waiting[0].without(self._given_up)
            try:
                self._desk.store.record(entry.batch)
            except EdgeError as refusal:
                if not self._desk.patient:
                    raise
                self._wait_for_the_disk(refusal)
                return
            self._given_up -= {event.id for event in self._waiting.popleft().closed}
            self._refusal = ""
            self._tell(entry.opened, entry.closed)
            if entry.batch.messages:
                self._desk.committed()

    def _wait_for_the_disk(self, refusal: EdgeError) -> None:
        if self._refusal != refusal.message:  # once per change
            self._refusal = refusal.message
            log.error("events wait for the disk reason=%r", refusal.message)
        if len(self._waiting) > MOST_WAITING:
            lost = self._waiting.popleft()
            self._given_up |= {event.id for event in lost.opened}
            self._given_up -= {event.id for event in lost.closed}
            for event in (*lost.opened, *lost.closed):
                log.error("event given up, the disk took nothing for too long id=%s", event.id)

    def _draft(self, event: Event) -> Draft:
        phase = "open" if event.closed is None else "close"
        return Draft(
            id=f"{event.id}/{phase}",
            topic="alert",
            time=event.opened if event.closed is None else event.closed,
            body=dump(alert_document(event, self._desk.about)),
            priority=URGENT,
            clock=self._desk.clock(),
        )

    def _with_evidence(self, event: Event, outcome: Outcome) -> Event:
        rule = self._rules.get(event.rule)
        if self._desk.evidence is None or rule is None or not rule.evidence:
            return event
        kind = rule.evidence[0]  # a picture has no window, a signal no snapshot
        save = save_window if kind == "window" else save_snapshot
        try:
            saved = save(
                self._desk.evidence, event, outcome.frame.data, self._caption(event, outcome)
            )
        except EdgeError as refusal:
            # What cannot be kept must not cost the alert.
            log.error("no evidence kept event=%s reason=%r", event.id, refusal.message)
            missing = Decision("evidence", "stop", {"reason": refusal.message})
            return replace(event, decisions=(*event.decisions, missing))
        evidence = ({"kind": kind, **saved},)
        self._evidence[event.id] = evidence
        return replace(event, evidence=evidence)

    def _caption(self, event: Event, outcome: Outcome) -> dict[str, Any]:
        """What a person needs to reproduce the detections."""
        about = self._desk.about
        return {
            "rule": event.rule,
            "label": event.label,
            "box": None if event.box is None else rounded(event.box),
            "detections": [detection_document(found) for found in outcome.detections],
            "source": outcome.frame.source,
            "frame": outcome.frame.index,
            "model": {"name": about.model, "version": about.version, "sha256": about.sha256},
            "engine": about.engine,
            "config_sha256": about.config_sha256,
            "redacted": [[list(point) for point in mask] for mask in self._desk.spec.privacy],
        }

    def _tell(self, opened: tuple[Event, ...], closed: tuple[Event, ...]) -> None:
        for event in opened:
            log.info(
                "event opened id=%s pipeline=%s rule=%s priority=%s label=%s",
                event.id,
                event.pipeline,
                event.rule,
                event.priority.value,
                event.label,
            )
        for event in closed:
            log.info("event closed id=%s reason=%s", event.id, event.close_reason)
