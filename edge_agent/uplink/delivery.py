"""The traffic of one connection: fill the window, take the answers, acknowledge in batches.

Rules: rows leave in the order of `lanes.py`; a row is acknowledged only after its PUBACK; a refused
one is tried again later and never holds up those behind it. A `Delivery` lives as long as its
session: when that ends, what was in flight is forgotten, and the next one reads the outbox anew.
Read `publisher.py` next.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_agent.frozen import frozen
from edge_agent.policy import wire
from edge_agent.policy.commands import failure
from edge_agent.policy.envelope import Sender, to_bytes
from edge_agent.types import Message
from edge_agent.uplink.inbox import Reply
from edge_agent.uplink.lanes import Lanes
from edge_agent.uplink.link import Answer, Disconnected, Packet
from edge_agent.uplink.outbox import (
    URGENT,
)
from edge_agent.uplink.outgoing import Outgoing

if TYPE_CHECKING:
    from edge_agent.uplink.client import Session

log = logging.getLogger("edge_agent.uplink")

#: MQTT 5, 3.4.2.1: nobody listens; not now, whatever the message; never, whatever the moment.
_NO_SUBSCRIBERS, _QUOTA, _PAYLOAD_INVALID = 0x10, 0x97, 0x99
#: Bytes of CONNECT and its answer beside what names the device; most of it is the last will.
_CONNECT = 450


@frozen
class _Flight:
    seq: int | None
    topic: str
    since: float


class Delivery:
    """One session's worth of `Outgoing`."""

    def __init__(self, session: Session, outgoing: Outgoing, sender: Sender) -> None:
        self._session = session
        self._out = outgoing
        self._pace = outgoing.pace
        self._sender = sender
        self._lanes = Lanes(outgoing.outbox, outgoing.pace, self._is_known)
        self._untried = deque(outgoing.suspects.untried())
        self._notorious = deque(outgoing.suspects.notorious())
        self._alone: int | None = None  # a suspect that is in flight
        self._has_answered = False  # the broker, in this connection
        self._quota = outgoing.pace.refused  # how long to wait, and until when, because
        self._not_before = 0.0  # the broker takes nothing more from us for now
        self._flying: dict[int, _Flight] = {}  # by the packet's number, oldest first
        self._taken: list[int] = []  # seqs that the broker took, not yet acknowledged
        self._taken_at = 0.0
        self._told_of_waiting = False  # the last `health` said that something waits,
        self._health_is_old = False  # and some of that was sent since
        self._told_at = 0.0
        self._pinged_at = time.monotonic()
        outgoing.meter.sent(_CONNECT + len(outgoing.identity.base))
        outgoing.retained.touch_all()
        if outgoing.inbox is not None:
            session.subscribe(outgoing.inbox.topics)
        if outgoing.home is not None:
            session.subscribe(outgoing.home.topics)
            outgoing.home.connected(time.monotonic())

    def announce(self, word: str) -> None:
        """Publish `status`; the caller leaves room in the window."""
        self._send(self._out.status(word, self._sender.session), time.monotonic())

    def step(self, timeout_s: float) -> None:
        """Send what may be sent, wait at most `timeout_s` for answers. Raises Disconnected."""
        now = time.monotonic()
        if now - self._pinged_at >= self._session.keepalive_s:
            self._pinged_at = now
            self._out.meter.sent(wire.PING)
        self._fill(now)
        self.settle(timeout_s)
        waited_s = time.monotonic() - self._told_at
        waited = waited_s >= self._pace.tell_every_s
        # With the budget spent more and more waits: a receiver must not take that for missing.
        sparing = self._out.meter.is_spent and waited_s >= self._pace.tell_sparing_s
        if sparing or (self._health_is_old and (self._is_idle or waited)):
            self._health_is_old = False
            self._out.retained.touch("health")

    def tell_what_stays(self) -> None:
        """Before the end: what waits for the budget is told as pending. Raises Disconnected."""
        if self._out.meter.is_spent:
            self.acknowledge()
            self._out.retained.touch("health", at_once=True)
            self.step(0.0)

    def settle(self, timeout_s: float) -> None:
        """Take answers without sending anything new. Raises Disconnected."""
        patience = min(timeout_s, self._pace.ack_every_s) if self._taken else timeout_s
        for answer in self._session.wait(patience):
            self._take(answer)
        for arrived in self._session.arrived():
            self._out.meter.sent(wire.publish(arrived.topic, len(arrived.payload)) + wire.PUBACK)
            home = self._out.home
            if home is not None and home.hear(arrived.topic, arrived.payload, arrived.at):
                continue
            if self._out.inbox is not None:
                self._out.inbox.offer(arrived)
        now = time.monotonic()
        if len(self._taken) >= self._pace.batch or now - self._taken_at >= self._pace.ack_every_s:
            self.acknowledge()
        self._watch(now)

    def acknowledge(self) -> None:
        """Tell the outbox what the broker took so far."""
        if self._taken:
            taken, self._taken = self._taken, []
            self._out.outbox.acknowledge(taken)
            self._out.sent += len(taken)
            self._health_is_old = self._told_of_waiting

    def fell(self) -> None:
        """The connection ended: what was in flight may be why."""
        flying = [flight.seq for flight in self._flying.values() if flight.seq is not None]
        self._out.meter.doubt(flying)
        poison = self._out.suspects.fell(flying, self._alone)
        if poison is not None:
            log.error("a message ends every connection, it is set aside seq=%d", poison)
            self._give_up(poison)

    @property
    def is_answered(self) -> bool:
        """Nothing is in flight."""
        return not self._flying

    @property
    def has_room(self) -> bool:
        return len(self._flying) < self._session.window

    def drained(self) -> bool:
        """Look into the outbox: nothing is left to be sent now, and all of it was answered."""
        return not self._lanes.look() and self._is_idle

    @property
    def _is_idle(self) -> bool:
        return not (self._flying or self._untried) and self._lanes.is_empty

    # --- sending -----------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        if self._alone is not None:
            return
        sparing = self._out.meter.is_spent
        self._lanes.spare(sparing)
        while self.has_room and self._out.inbox and (reply := self._out.inbox.take_reply()):
            self._send_reply(reply, now)
        while self.has_room and (due := self._out.retained.take_due(now, sparing)) is not None:
            size = self._send(self._unsequenced(*due), now)
            self._out.retained.left(*due, size, now)
        home = None if sparing else self._out.home
        if self.has_room and home and (packet := home.take_due(now)):
            self._send_discovery(packet, now)
        while self.has_room and (message := self._next(now)) is not None:
            self._send(message, now)

    def _next(self, now: float) -> Message | None:
        """The next row of the outbox; behind them all, a refused one whose time has come."""
        if self._out.bell.heard():
            self._lanes.grew()
        if self._out.take_rewind():
            self._lanes.rewind({*self._taken, *(each.seq for each in self._flying.values())})
        if self._alone is not None or now < self._not_before:
            return None
        if self._untried:
            return self._alone_of(self._untried)
        message = self._lanes.next(now) or self._refused_before(now)
        if message is None and self._notorious:
            return self._alone_of(self._notorious)
        return message

    def _alone_of(self, suspects: deque[int]) -> Message | None:
        """The next of them once nothing else is in flight and this connection has proved good."""
        while suspects and self._has_answered and not self._flying:
            seq = suspects.popleft()
            if (row := self._row(seq)) is not None:
                self._alone = seq
                return row
            self._out.suspects.cleared(seq)
        return None

    def _refused_before(self, now: float) -> Message | None:
        refusals = self._out.refusals
        while (seq := refusals.take_due(now)) is not None:
            row = self._row(seq)
            if row is None:
                refusals.accepted(seq)
            elif self._out.meter.is_spent and row.topic not in URGENT:
                refusals.refused(seq, now, random.random(), counts=False)
            else:
                return row
        return None

    def _row(self, seq: int) -> Message | None:
        """None where it is gone."""
        rows = self._out.outbox.pending(1, seq - 1)
        return rows[0] if rows and rows[0].seq == seq else None

    def _is_known(self, seq: int | None) -> bool:
        return seq in self._out.refusals or seq in self._out.suspects

    def _unsequenced(self, topic: str, body: Mapping[str, Any]) -> Message:
        if topic == "health":
            depth = self._out.outbox.depth()
            pending = {
                "depth": depth.depth,
                "oldest_seq": depth.oldest_seq,
                "newest_seq": depth.newest_seq,
                "last_seq": depth.last_seq,
            }
            self._told_of_waiting = depth.depth > 0
            self._told_at = time.monotonic()
            body = {
                **body,
                "protocol": self._session.protocol,
                "pending": pending,
                "set_aside": self._out.refusals.set_aside,
                "unheard": self._out.unheard,
            }
        return self._out.unsequenced(topic, body)

    def _send(self, message: Message, now: float) -> int:
        """The bytes of it; 0 where it is too large for this broker."""
        clock = self._out.clock
        packet = self._out.packet(message, self._sender, clock.told(clock.now()))
        if self._session.fits(packet):
            self._flying[self._publish(packet)] = _Flight(message.seq, message.topic, now)
            return self._session.size(packet)
        self._report(message.topic, f"larger than the broker allows ({len(packet.payload)} bytes)")
        if message.seq is not None:
            self._give_up(message.seq)
        return 0

    def _publish(self, packet: Packet) -> int:
        """The number of its answer. Both are counted, also of what is sent again."""
        mid = self._session.publish(packet)
        self._out.meter.sent(self._session.size(packet) + wire.PUBACK)
        return mid

    def _send_reply(self, reply: Reply, now: float) -> None:
        packet = Packet(reply.topic, reply.payload, False, reply.correlation)
        if not self._session.fits(packet):
            too_large = failure(reply.id, "too_large", f"the reply has {len(reply.payload)} bytes")
            packet = replace(packet, payload=to_bytes(too_large))
        self._flying[self._publish(packet)] = _Flight(None, "reply", now)

    def _send_discovery(self, packet: Packet, now: float) -> None:
        if self._session.fits(packet):
            self._flying[self._publish(packet)] = _Flight(None, packet.topic, now)
        else:
            bytes_ = len(packet.payload)
            self._report(packet.topic, f"larger than the broker allows ({bytes_} bytes)")

    def _give_up(self, seq: int) -> None:
        """It can never leave by this broker: the receiver learns that, instead of waiting."""
        declared = self._out.outbox.give_up([seq], "refused", self._out.clock.now()) is not None
        self._out.refusals.put_aside(seq, is_declared=declared)
        self._out.retained.touch("health")
        if declared:
            self._lanes.grew()

    # --- answers -----------------------------------------------------------------------------

    def _take(self, answer: Answer) -> None:
        flight = self._flying.pop(answer.mid)
        self._has_answered = True
        if flight.seq is not None:
            self._out.suspects.cleared(flight.seq)
            self._out.meter.settled(flight.seq)
            self._alone = None if flight.seq == self._alone else self._alone
        if answer.refused is not None:
            self._report(flight.topic, answer.refused)
            if flight.seq is not None:
                self._is_refused(flight.seq, answer.code)
        elif flight.seq is not None:
            self._is_taken(flight.seq, answer.code)

    def _is_refused(self, seq: int, code: int) -> None:
        now = time.monotonic()
        if code == _PAYLOAD_INVALID:
            self._give_up(seq)
            return
        if code == _QUOTA and now >= self._not_before:
            self._not_before = now + self._quota.delay(random.random())
            self._quota = self._quota.failed()
        if self._out.refusals.refused(seq, now, random.random(), counts=code != _QUOTA):
            self._give_up(seq)

    def _is_taken(self, seq: int, code: int) -> None:
        self._quota = self._pace.refused
        if code == _NO_SUBSCRIBERS:
            if not self._out.unheard:
                log.warning("the broker takes messages that nobody listens to seq=%d", seq)
            self._out.unheard += 1
        if seq in self._out.refusals:
            self._out.refusals.accepted(seq)
        if not self._taken:
            self._taken_at = time.monotonic()
        self._taken.append(seq)

    def _watch(self, now: float) -> None:
        """A broker that stays silent, or a path that swallows PUBACKs, ends the connection."""
        oldest = next(iter(self._flying.values()), None)
        if oldest is not None and now - oldest.since > self._pace.ack_timeout_s:
            raise Disconnected(f"no PUBACK within {self._pace.ack_timeout_s:g} s")

    def _report(self, topic: str, reason: str) -> None:
        """Once per change: a refused topic is refused again and again."""
        if self._out.last_refusal != (topic, reason):
            self._out.last_refusal = (topic, reason)
            log.warning("refused topic=%s reason=%r", topic, reason)
