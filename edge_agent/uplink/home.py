"""Home Assistant beside the broker: what it is told of this device, and when.

Rules: the message (`policy/discovery.py`) is retained and sent once after each connect, when the
rules change, and with jitter after Home Assistant says that it was born. What the broker kept of an
earlier run tells which entities there were: those of rules that are gone are taken back. One
thread, but for `tell`. Read `delivery.py` for how it travels.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace

from edge_agent.policy.discovery import BIRTH, Discovered, discovery, keys, topic
from edge_agent.policy.envelope import to_bytes
from edge_agent.uplink.link import Packet

#: After a connect the broker gets so long to hand over what it kept.
LISTEN_S = 1.0
#: A house full of devices does not answer a birth in the same second.
JITTER_S = 10.0


class Home:
    """One for a publisher. `chance` gives numbers from 0 to 1; times are monotonic."""

    def __init__(self, prefix: str, who: Discovered, chance: Callable[[], float]) -> None:
        self._who = who
        self._chance = chance
        self._birth = f"{prefix}/{BIRTH}"
        self._topic = topic(prefix, who.device)
        self._lock = threading.Lock()
        self._told: frozenset[str] = frozenset()  # components that it may still know
        self._due: float | None = None
        self._is_ready = False  # the rules are known

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return self._birth, self._topic

    def tell(
        self,
        rules: tuple[tuple[str, str], ...],
        pipelines: tuple[str, ...],
        models: tuple[str, ...] = (),
        policies: tuple[str, ...] = (),
    ) -> bool:
        """What is watched now, from any thread; whether that is news."""
        who = replace(self._who, rules=rules, pipelines=pipelines, models=models, policies=policies)
        with self._lock:
            if self._is_ready and who == self._who:
                return False
            self._who, self._is_ready = who, True
            if self._due is None:
                self._due = 0.0
            return True

    def connected(self, now: float) -> None:
        """A new connection: what the broker kept comes first."""
        with self._lock:
            self._due = now + LISTEN_S

    def hear(self, name: str, payload: bytes, now: float) -> bool:
        """A message that arrived; False where it is none of ours."""
        if name == self._birth:
            if payload.strip() == b"online":
                with self._lock:
                    self._due = now + JITTER_S * self._chance()
            return True
        if name == self._topic:
            with self._lock:
                self._told |= _kept(payload)
            return True
        return False

    def take_due(self, now: float) -> Packet | None:
        """The message, if it is to be sent now; it then counts as sent."""
        with self._lock:
            if self._due is None or now < self._due or not self._is_ready:
                return None
            self._due = None
            message = discovery(self._who, self._told)
            self._told |= frozenset(keys(message))
        return Packet(self._topic, to_bytes(message), True)


def _kept(payload: bytes) -> frozenset[str]:
    """The components of a message that the broker kept; none of one that nobody understands."""
    try:
        message = json.loads(payload)
        return frozenset(key for key in keys(message) if key.isascii())
    except (ValueError, KeyError, TypeError, AttributeError):
        return frozenset()
