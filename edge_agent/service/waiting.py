"""Events that the disk refuses wait here, in order and bounded; what must go goes by its priority.

Rules: an event waits as a whole, its opening and its end, and is given up as a whole; one that the
store has never heard of is never closed there. Of too many the least urgent go first, the oldest of
these: alerts last. What was given up is counted by priority and kept in mind one by one (a bounded
number), until the store takes that account (`GivenUp`). Read `recorder.py` next.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace

from edge_agent.frozen import frozen
from edge_agent.store.rows import Batch, Judged
from edge_agent.types import Decision, Event, Priority

#: Events whose opening waits for the disk, at most, in each pipeline.
MOST_WAITING = 200
#: Of so many that were given up the decisions are kept, the newest.
MOST_TOLD = 200
#: Who goes first.
_RANK = {Priority.RECORD: 0, Priority.NOTICE: 1, Priority.ALERT: 2}


@frozen
class Entry:
    """One transaction that is to be written."""

    opened: tuple[Event, ...]
    closed: tuple[Event, ...]
    batch: Batch

    def without(self, ids: Collection[str]) -> Entry:
        """The same but for these events and their messages."""
        if not ids or all(event.id not in ids for event in (*self.opened, *self.closed)):
            return self
        opened = tuple(event for event in self.opened if event.id not in ids)
        closed = tuple(event for event in self.closed if event.id not in ids)
        gone = {f"{event}/{phase}" for event in ids for phase in ("open", "close")}
        batch = replace(
            self.batch,
            opened=tuple(each for each in self.batch.opened if each.event.id not in ids),
            closed=closed,
            messages=tuple(draft for draft in self.batch.messages if draft.id not in gone),
        )
        return Entry(opened, closed, batch)


@frozen
class GivenUp:
    """Events that were seen and are not kept: how many of each priority, since when, and why."""

    counts: Mapping[str, int] = field(default_factory=dict)
    since: float | None = None
    judged: tuple[Judged, ...] = ()  # one a piece, for `why`

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def and_also(self, events: Iterable[Event], reason: str) -> GivenUp:
        events = tuple(events)
        counts = Counter(self.counts) + Counter(event.priority.value for event in events)
        since = min((event.opened for event in events), default=None)
        judged = (*self.judged, *(_judged(event, reason) for event in events))
        return GivenUp(
            dict(sorted(counts.items())),
            since if self.since is None else self.since,
            judged[-MOST_TOLD:],
        )


class Waiting:
    """The queue before the store. One thread uses it; anyone may look at its length."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._gone: set[str] = set()  # given up, and open still

    def __len__(self) -> int:
        """Events of which something waits."""
        entries = tuple(self._entries)
        return len({event.id for entry in entries for event in (*entry.opened, *entry.closed)})

    @property
    def first(self) -> Entry | None:
        return self._entries[0] if self._entries else None

    def add(self, entry: Entry) -> None:
        """Behind all others."""
        ended = {event.id for event in entry.closed} & self._gone
        self._gone -= ended
        entry = entry.without(ended)
        if entry.opened or entry.closed:
            self._entries.append(entry)

    def written(self) -> None:
        """The first one is in the store."""
        self._entries.popleft()

    def give_up(self, most: int) -> tuple[Event, ...]:
        """The events that had to go so that no more than `most` openings wait."""
        openings = [event for entry in self._entries for event in entry.opened]
        excess = len(openings) - most
        if excess <= 0:
            return ()
        lost = tuple(sorted(openings, key=lambda event: _RANK[event.priority])[:excess])
        ids = {event.id for event in lost}
        self._gone |= ids - {event.id for entry in self._entries for event in entry.closed}
        left = (entry.without(ids) for entry in self._entries)
        self._entries = deque(entry for entry in left if entry.opened or entry.closed)
        return lost


def _judged(event: Event, reason: str) -> Judged:
    """What the rules decided, and that it ended at the store."""
    stop = Decision("store", "stop", {"event": event.id, "reason": reason})
    return Judged(
        kind="miss",
        pipeline=event.pipeline,
        time=event.opened,
        frame=event.frame,
        decisions=(*event.decisions, stop),
        rule=event.rule,
        track=event.track,
        label=event.label,
    )
