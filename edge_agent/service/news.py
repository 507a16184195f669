"""What opened or closed since the last look at a store: the feed behind `events follow`.

It only reads, look after look, so it works beside a running agent and across its restarts.
"""

from __future__ import annotations

from edge_agent.store.query import Reader
from edge_agent.store.rows import EventFilter, StoredEvent

#: Events are looked for from so long before the newest one on: pipelines do not write in the order
#: of their frames' times, and a clock may be set back a little between two starts.
OVERLAP_S = 60.0


class News:
    """Begins with what is there: that is no news."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        newest = reader.events(EventFilter(limit=1))
        self._since = newest[0].event.opened - OVERLAP_S if newest else None
        self._known: dict[str, float | None] = {}  # event -> when it closed
        self.look()

    def look(self) -> list[StoredEvent]:
        """In the order of opening. What opened and closed between two looks is told once."""
        recent = self._reader.events(EventFilter(since=self._since, limit=None))
        seen = (*reversed(recent), *self._reader.open_events())
        now = {stored.event.id: stored for stored in seen}
        for event, closed in self._known.items():
            if closed is None and event not in now:
                now[event] = self._reader.event(event)  # open at the last look, closed since
        fresh = [
            stored
            for event, stored in now.items()
            if event not in self._known or self._known[event] != stored.event.closed
        ]
        self._known = {event: stored.event.closed for event, stored in now.items()}
        if recent:
            self._since = recent[0].event.opened - OVERLAP_S
        return fresh
