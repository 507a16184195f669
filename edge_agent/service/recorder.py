"""What becomes of an outcome: evidence on the disk, then events and messages in one transaction.

An event is acknowledged when its commit has returned; the log line is written after that. Evidence
is on the disk before the event refers to it. Read `store/record.py` next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_agent.config.explain import PipelineSpec
from edge_agent.policy.documents import About, alert_document, detection_document, dump, rounded
from edge_agent.store.evidence import save_snapshot
from edge_agent.store.record import Store
from edge_agent.store.rows import Batch, Draft, Opened
from edge_agent.types import Event, Outcome, Priority

log = logging.getLogger("edge_agent.events")

URGENT = 0  # an alert leaves before everything else


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the records of one pipeline go, and what they say of their origin."""

    store: Store
    spec: PipelineSpec
    about: About
    clock: Callable[[], str] = lambda: "synced"  # synced, unsynced, corrected
    committed: Callable[[], None] = lambda: None  # called after messages were committed
    evidence: Path | None = None  # the state directory; None: no pictures are kept


class Recorder:
    """Writes the events of one pipeline. Only its worker uses it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rules = {rule.name: rule for rule in desk.spec.rules}
        self._evidence: dict[str, tuple[Mapping[str, Any], ...]] = {}  # of open events
        self.opened = 0
        self.closed = 0

    def record(self, outcome: Outcome) -> tuple[Event, ...]:
        """Store what opened and closed; the closed events as they were stored."""
        if not (outcome.opened or outcome.closed):
            return ()
        opened = tuple(self._with_evidence(event, outcome) for event in outcome.opened)
        return self._commit(opened, outcome.closed)

    def close(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Store events that were closed by a stop or by the end of the input."""
        return self._commit((), events) if events else ()

    def _commit(self, opened: tuple[Event, ...], closed: tuple[Event, ...]) -> tuple[Event, ...]:
        closed = tuple(
            replace(event, evidence=self._evidence.pop(event.id, ())) for event in closed
        )
        drafts = tuple(
            self._draft(event) for event in (*opened, *closed) if event.priority is Priority.ALERT
        )
        about = self._desk.about
        self._desk.store.record(
            Batch(
                opened=tuple(Opened(event, about) for event in opened),
                closed=closed,
                messages=drafts,
            )
        )
        self.opened += len(opened)
        self.closed += len(closed)
        self._tell(opened, closed)
        if drafts:
            self._desk.committed()
        return closed

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
        if self._desk.evidence is None or rule is None or "snapshot" not in rule.evidence:
            return event
        saved = save_snapshot(
            self._desk.evidence, event, outcome.frame.data, self._caption(event, outcome)
        )
        evidence = ({"kind": "snapshot", **saved},)
        self._evidence[event.id] = evidence
        return replace(event, evidence=evidence)

    def _caption(self, event: Event, outcome: Outcome) -> dict[str, Any]:
        """What a person needs to reproduce the picture's detections."""
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
