"""What becomes of an outcome: evidence on the disk, then events and messages in one transaction.

An event is acknowledged when its commit has returned; the log line is written after that. Evidence
is on the disk before the event refers to it. In the service a write that the disk refuses waits, in
order and bounded (`waiting.py`), and is offered again with the next one, or as soon as the disk
takes writes of anybody: inference goes on meanwhile. What is given up is counted, and told in the
store when it takes that (`why`). Read `store/record.py` next.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.config.explain import PipelineSpec
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import About, alert_document, detection_document, dump, rounded
from edge_agent.service.clips import Clips
from edge_agent.service.waiting import MOST_WAITING, Entry, GivenUp, Waiting
from edge_agent.store.evidence import save_snapshot, save_window
from edge_agent.store.record import Store
from edge_agent.store.rows import Batch, Draft, Opened
from edge_agent.types import Decision, Event, Frame, Outcome, Priority

log = logging.getLogger("edge_agent.events")

URGENT = 0  # an alert leaves before everything else


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


class Recorder:
    """Writes the events of one pipeline. Only its worker uses it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rules = {rule.name: rule for rule in desk.spec.rules}
        self._evidence: dict[str, tuple[Mapping[str, Any], ...]] = {}  # of open events
        self._abouts: dict[str, About] = {}  # of open events that another model than ours opened
        self._waiting = Waiting()
        self._refusal = ""
        self.given_up: Mapping[str, int] = {}  # events by priority, since the start
        self.undeclared = GivenUp()  # what the store has not been told yet
        self._clips = (
            None if desk.evidence is None else Clips(desk.evidence, desk.spec.rules, self.attach)
        )
        stills = any(rule.still is not None for rule in desk.spec.rules)
        self._keeps_evidence = desk.evidence is not None and stills
        self._picture: Frame | None = None  # the latest that there is one of, for evidence
        self.opened = 0
        self.opened_by_rule: Counter[tuple[str, str]] = Counter()  # and priority
        self.closed = 0

    @property
    def waiting(self) -> int:
        """Events that the disk has refused so far, and that are offered again."""
        return len(self._waiting)

    def follow(self, about: About) -> None:
        """Another model: what opens from now on is its own; what is open stays the other's."""
        self._abouts |= dict.fromkeys(self._evidence.keys() - self._abouts.keys(), self._desk.about)
        self._desk = replace(self._desk, about=about)

    def record(self, outcome: Outcome) -> tuple[Event, ...]:
        """Store what opened and closed; the closed events with their evidence."""
        if self._keeps_evidence and outcome.frame.seen:
            self._picture = outcome.frame
        closed: tuple[Event, ...] = ()
        if outcome.opened or outcome.closed:
            opened = tuple(self._with_evidence(event, outcome) for event in outcome.opened)
            closed = self._commit(opened, outcome.closed)
        else:
            self.retry()
        if self._clips is not None:
            self._clips.show(outcome)
        return closed

    def close(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Store events that were closed by a stop or by the end of the input; no frames follow."""
        if self._clips is not None:
            self._clips.close()
        return self._commit((), events) if events or self._waiting or self.undeclared.total else ()

    def retry(self) -> None:
        """Write what waits, if the disk took something since it refused that."""
        waits = self._waiting.first is not None or self.undeclared.total
        if waits and self._desk.store.database.refusal is None:
            self._write()

    def abandon(self) -> GivenUp:
        """Nobody will use this one any more: what waits is given up. What the next one, after a
        reload, takes over as its `undeclared`, to tell the store."""
        self._give_up(0, self._refusal)
        return self.undeclared

    def attach(self, event: str, entry: Mapping[str, Any]) -> None:
        """Evidence that was ready only after the event had been recorded. Raises EdgeError."""
        if event in self._evidence:
            self._evidence[event] = (*self._evidence[event], entry)
        self._desk.store.attach(event, entry)

    def _commit(self, opened: tuple[Event, ...], closed: tuple[Event, ...]) -> tuple[Event, ...]:
        closed = tuple(
            replace(event, evidence=self._evidence.pop(event.id, ())) for event in closed
        )
        self._evidence |= {event.id: event.evidence for event in opened}
        self._desk.raised(opened, closed)
        about = self._desk.about
        drafts = tuple(
            self._draft(event)
            for event in (*opened, *closed)
            if self._desk.publish and event.priority is Priority.ALERT
        )
        batch = Batch(tuple(Opened(event, about) for event in opened), closed, messages=drafts)
        for event in closed:
            self._abouts.pop(event.id, None)
        self.opened += len(opened)
        self.opened_by_rule.update((event.rule, event.priority.value) for event in opened)
        self.closed += len(closed)
        self._waiting.add(Entry(opened, closed, batch))
        self._write()
        return closed

    def _write(self) -> None:
        """Write what waits, in order, until the disk refuses."""
        try:
            while (entry := self._waiting.first) is not None:
                self._desk.store.record(entry.batch)
                self._waiting.written()
                self._tell(entry.opened, entry.closed)
                if entry.batch.messages:
                    self._desk.committed()
            if self.undeclared.total:
                self._desk.store.record(Batch(judged=self.undeclared.judged))
                log.warning(
                    "events given up are told of in the store, see edge-agent why --at TIME"
                    " pipeline=%s count=%d",
                    self._desk.spec.name,
                    self.undeclared.total,
                )
                self.undeclared = GivenUp()
            self._refusal = ""
        except EdgeError as refusal:
            if not self._desk.patient:
                raise
            self._wait_for_the_disk(refusal)

    def _wait_for_the_disk(self, refusal: EdgeError) -> None:
        if self._refusal != refusal.message:  # once per change
            self._refusal = refusal.message
            log.error("events wait for the disk reason=%r", refusal.message)
        self._give_up(MOST_WAITING, refusal.message)

    def _give_up(self, most: int, reason: str) -> None:
        """So that no more than `most` wait, in the log and in the account."""
        lost = self._waiting.give_up(most)
        if not lost:
            return
        self.undeclared = self.undeclared.and_also(lost, reason)
        self.given_up = GivenUp(self.given_up).and_also(lost, "").counts
        for event in lost:
            log.error(
                "event given up, the disk took nothing for too long id=%s rule=%s priority=%s",
                event.id,
                event.rule,
                event.priority.value,
            )

    def _draft(self, event: Event) -> Draft:
        phase = "open" if event.closed is None else "close"
        return Draft(
            id=f"{event.id}/{phase}",
            topic="alert",
            time=event.opened if event.closed is None else event.closed,
            body=dump(alert_document(event, self._abouts.get(event.id, self._desk.about))),
            priority=URGENT,
            clock=self._desk.clock(),
        )

    def _with_evidence(self, event: Event, outcome: Outcome) -> Event:
        rule = self._rules.get(event.rule)
        if self._desk.evidence is None or rule is None or rule.still is None:
            return event
        save = save_window if rule.still == "window" else save_snapshot
        try:
            frame = self._picture
            if frame is None:
                raise EdgeError("no picture has come so far", "look at its source")
            caption = self._caption(event, replace(outcome, frame=frame))
            saved = save(self._desk.evidence, event, frame.data, caption)
        except EdgeError as refusal:
            # What cannot be kept must not cost the alert.
            log.error("no evidence kept event=%s reason=%r", event.id, refusal.message)
            missing = Decision("evidence", "stop", {"reason": refusal.message})
            return replace(event, decisions=(*event.decisions, missing))
        return replace(event, evidence=({"kind": rule.still, **saved},))

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
