"""The unsequenced topics (`state`, `health`): of each only the latest counts, and it is retained.

Kept in memory alone: they say what is, not what happened. Each is sent at every connect, then when
it changed, and never more often than `every_s`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any


class Retained:
    """The latest body of each topic. `put` may be called from any thread."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._unsent: set[str] = set()
        self._not_before: dict[str, float] = {}

    def put(self, topic: str, body: Mapping[str, Any]) -> bool:
        """Remember the latest; False where it says nothing new."""
        with self._lock:
            if self._bodies.get(topic) == body:
                return False
            self._bodies[topic] = body
            self._unsent.add(topic)
            return True

    def touch(self, topic: str) -> None:
        """Send it again although it did not change."""
        with self._lock:
            if topic in self._bodies:
                self._unsent.add(topic)

    def touch_all(self) -> None:
        """A new connection: everything is sent again, at once."""
        with self._lock:
            self._unsent = set(self._bodies)
            self._not_before.clear()

    def take_due(self, now: float) -> tuple[str, Mapping[str, Any]] | None:
        """One topic that is to be sent now, and its body; it then counts as sent."""
        if not self._unsent:
            return None
        with self._lock:
            for topic in sorted(self._unsent):
                if self._not_before.get(topic, now) <= now:
                    self._unsent.discard(topic)
                    self._not_before[topic] = now + self._every_s
                    return topic, self._bodies[topic]
        return None
