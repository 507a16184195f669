"""The store's nouns: what is handed to the one writer, and what readers get back.

Frozen and slotted like those of `types.py`. Times are seconds since the epoch. Read `record.py`
next for the way in, `query.py` for the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.policy.coverage import Stretch
from edge_agent.policy.documents import About
from edge_agent.policy.spans import Spans
from edge_agent.types import Decision, Event, Ledger

Kind: TypeAlias = Literal["event", "miss", "skip"]


@frozen
class Identity:
    """Which store this is, and how often the service has started on it (0: never)."""

    store: str
    boot: int


# --- what goes in ------------------------------------------------------------------------------


@frozen
class Opened:
    """An event that opens, with what judged it."""

    event: Event
    about: About


@frozen
class Draft:
    """A message without a seq yet; the store gives it one. `body` is the JSON of `data`.

    The id of an alert is `<event>/open` or `<event>/close` of an event in the same batch; every
    other id must be unique in the store.
    """

    id: str
    topic: str
    time: float
    body: str
    priority: int = 1  # 0 leaves first
    clock: str = "synced"  # or unsynced, and then corrected when its boot's clock is put right
    boot: int | None = None  # on whose clock the times are; None: the present one


@frozen
class FramesRow:
    """The ledger of one pipeline over one window: the frames decided in it.

    `pending` is what still waited for a verdict at its end, and is counted in a later window.
    `unaccounted_s` above 0: the agent was killed or lost power in this window, and what became of
    the frames of up to so many seconds was never written.
    """

    pipeline: str
    began: float
    ended: float
    inferred: int
    skipped: Mapping[str, int]
    failed: int = 0
    pending: int = 0
    unaccounted_s: float = 0.0

    @property
    def captured(self) -> int:
        return self.inferred + sum(self.skipped.values()) + self.failed


@frozen
class CoverageRow:
    """One stretch of one rule's life; `rule` "" of a pipeline without rules."""

    pipeline: str
    rule: str
    stretch: Stretch

    @property
    def key(self) -> tuple[str, str]:
        return self.pipeline, self.rule


@frozen
class Judged:
    """Why something happened ("event") or did not ("miss": by a rule, "skip": by the gate)."""

    kind: Kind
    pipeline: str
    time: float
    frame: int
    decisions: tuple[Decision, ...]
    rule: str | None = None
    track: int | None = None
    label: str | None = None
    event: str | None = None  # its id, when read back as kind "event"


@frozen
class Summary:
    """One summary window of one pipeline, as it was sent."""

    pipeline: str
    began: float
    ended: float
    body: str


@frozen
class Batch:
    """Everything that one transaction writes: all of it is stored, or nothing."""

    opened: tuple[Opened, ...] = ()
    closed: tuple[Event, ...] = ()
    seen: tuple[Event, ...] = ()  # open events with their newest `seen`, scores, box and count
    messages: tuple[Draft, ...] = ()
    frames: tuple[FramesRow, ...] = ()
    judged: tuple[Judged, ...] = ()  # misses and skips; an event brings its own decisions
    summaries: tuple[Summary, ...] = ()
    coverage: tuple[CoverageRow, ...] = ()


# --- what comes back ---------------------------------------------------------------------------


@frozen
class StoredEvent:
    """An event as it stands in the store, with what judged it and the boot that recorded it."""

    event: Event
    about: About
    boot: int


@frozen
class EventFilter:
    """Which events to list; None means any. `since <= opened < until`, the newest first."""

    since: float | None = None
    until: float | None = None
    rule: str | None = None
    priority: str | None = None
    pipeline: str | None = None
    limit: int | None = 20


@frozen
class Depth:
    """How much waits to be sent. `last_seq` is the newest number given so far, sent or not."""

    depth: int = 0
    oldest_seq: int | None = None
    newest_seq: int | None = None
    last_seq: int = 0


@frozen
class Resent:
    """What a receiver that missed something gets: `queued` wait again; `gone` are not kept any
    more, which the message `lost` declares (None where nothing is)."""

    asked: Spans
    queued: int
    gone: Spans
    lost: int | None


@frozen
class LastStatus:
    """What the database alone can say of the agent: the state at its last write."""

    identity: Identity
    written: float | None  # when the last ledger window ended
    windows: Mapping[str, FramesRow] = field(default_factory=dict)  # the last one per pipeline
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)  # since the last start
    open: tuple[StoredEvent, ...] = ()
    outbox: Depth = Depth()
    wear: str = "[]"  # the account of what was written (policy/wear.py)
