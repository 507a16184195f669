"""What is to leave and what is known of it, from one connection to the next.

Rule: a connection may end at any byte; whatever has to be known afterwards stands here. Read
`delivery.py` next.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from edge_agent.policy.correction import corrected
from edge_agent.policy.envelope import Sender, encode
from edge_agent.types import Message
from edge_agent.uplink.bell import Bell
from edge_agent.uplink.home import Home
from edge_agent.uplink.inbox import Inbox
from edge_agent.uplink.link import Packet
from edge_agent.uplink.outbox import Clock, Identity, Meter, Outbox, Pace, Unmetered
from edge_agent.uplink.refusals import Refusals
from edge_agent.uplink.retained import Retained
from edge_agent.uplink.suspects import Suspects


class Outgoing:
    """Of one device, for as long as it runs. A `Delivery` at a time works with it."""

    def __init__(
        self,
        identity: Identity,
        outbox: Outbox,
        clock: Clock,
        pace: Pace,
        inbox: Inbox | None = None,
    ) -> None:
        self.identity = identity
        self.outbox = outbox
        self.clock = clock
        self.pace = pace
        self.meter: Meter = Unmetered()
        self.retained = Retained(pace.retained_every_s, pace.state_bytes)
        self.refusals = Refusals(pace.refused, pace.tries)
        self.suspects = Suspects(pace.tries)
        self.unheard = 0  # sequenced messages that a broker took while nobody listened
        self.bell = Bell()
        self.inbox = inbox
        self.home: Home | None = None  # Home Assistant, where it is to find us
        if inbox is not None:
            inbox.rings(self.bell.ring)
        self._again = threading.Event()  # rows that were sent wait once more
        self.sent = 0  # sequenced messages that a broker took
        self.last_refusal: tuple[str, str] | None = None  # topic and reason
        self._unsequenced = 0

    def rewind(self) -> None:
        """From any thread: rows that were sent wait once more."""
        self._again.set()
        self.bell.ring()

    def take_rewind(self) -> bool:
        again = self._again.is_set()
        self._again.clear()
        return again

    def packet(self, message: Message, sender: Sender, now: float) -> Packet:
        """`now` as others are told it; an unsequenced message is never late.

        What was read from the outbox before a time server was heard is put right here.
        """
        known = self.clock.correction
        if known.synced and message.clock == "unsynced" and message.boot == self.identity.boot:
            message = corrected(message, known.offset)
        topic = f"{self.identity.base}/{message.topic}"
        now = message.time if message.seq is None else now
        return Packet(topic, encode(message, sender, now), message.retain)

    def unsequenced(self, topic: str, body: Mapping[str, Any]) -> Message:
        """A retained message as of now."""
        self._unsequenced += 1
        return Message(
            seq=None,
            id=f"{topic}/{self.identity.boot}/{self._unsequenced}",
            topic=topic,
            qos=1,
            retain=True,
            time=self.clock.told(self.clock.now()),
            body=body,
            boot=self.identity.boot,
            clock=self.clock.correction.word,
        )

    def status(self, word: str, session: int) -> Message:
        """`online`, or `offline` (also the last will, hence no seq)."""
        who = self.identity
        body: dict[str, Any] = {"status": word, "boot": who.boot, "session": session}
        body |= {"version": who.version, "site": who.site, "tags": dict(who.tags)}
        return self.unsequenced("status", body)
