"""The unsequenced topics (`state`, `health`): of each only the latest counts, and it is retained.

Kept in memory alone: they say what is, not what happened. Each is sent at every connect, then when
it changed, and never more often than its time allows; `state` also keeps within the bytes of a day
(`policy/presence.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from edge_agent.policy.presence import Presence

STATE = "state"
#: With the day's budget spent `state` waits so long, and others where they only tell it again.
SPARING_S = 900.0
AGAIN_S = 60.0


class Retained:
    """The latest body of each topic. `put` may be called from any thread."""

    def __init__(self, every_s: float, state_bytes: float | None = None) -> None:
        """`state_bytes`: of a day."""
        self._every_s = every_s
        self._presence = Presence(state_bytes)
        self._lock = threading.Lock()
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._unsent: set[str] = set()
        self._at_once: set[str] = set()  # a new connection has not heard of them
        self._changed: set[str] = set()  # since they were sent
        self._sent_at: dict[str, float] = {}

    def put(self, topic: str, body: Mapping[str, Any]) -> bool:
        """Remember the latest; False where it says nothing new."""
        with self._lock:
            if self._bodies.get(topic) == body:
                return False
            self._bodies[topic] = body
            self._unsent.add(topic)
            self._changed.add(topic)
            return True

    def touch(self, topic: str, *, at_once: bool = False) -> None:
        """Send it again although it did not change."""
        with self._lock:
            if topic in self._bodies:
                self._unsent.add(topic)
                if at_once:
                    self._at_once.add(topic)

    def touch_all(self) -> None:
        """A new connection: everything is sent again, at once."""
        with self._lock:
            self._unsent = set(self._bodies)
            self._at_once = set(self._bodies)

    def take_due(self, now: float, sparing: bool = False) -> tuple[str, Mapping[str, Any]] | None:
        """One topic that is to be sent now, and its body; it then counts as sent.

        `sparing`: the budget of the day is spent.
        """
        if not self._unsent:
            return None
        with self._lock:
            for topic in sorted(self._unsent):
                if topic in self._at_once or self._is_due(topic, now, sparing):
                    self._unsent.discard(topic)
                    self._at_once.discard(topic)
                    self._changed.discard(topic)
                    self._sent_at[topic] = now
                    return topic, self._bodies[topic]
        return None

    def left(self, topic: str, body: Mapping[str, Any], size: int, now: float) -> None:
        """What was taken was sent, and was so many bytes."""
        if topic == STATE:
            with self._lock:
                self._presence.told(body, size, now)

    def _is_due(self, topic: str, now: float, sparing: bool) -> bool:
        # Asked even when it may not leave yet: since when it differs must be known.
        wanted = topic != STATE or self._presence.is_due(self._bodies[topic], now)
        pause = self._every_s
        if sparing and topic == STATE:
            pause = SPARING_S
        elif sparing and topic not in self._changed:
            pause = AGAIN_S
        last = self._sent_at.get(topic)
        return wanted and (last is None or now - last >= pause)
