"""The way out: the outbox, over one MQTT session after another, at least once.

Rules: one thread (`run`), every wait in it bounded; a missing broker is an ordinary state, logged
once per change; the outbox is the only queue. What a message looks like is in `policy/envelope.py`,
what one connection does in `delivery.py`, how it comes about in `connect.py`; docs/mqtt.md is the
outside.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_agent.frozen import frozen
from edge_agent.policy.discovery import Discovered
from edge_agent.policy.envelope import Sender
from edge_agent.policy.vigil import Beat
from edge_agent.uplink.connect import ConnectFailed, Connector
from edge_agent.uplink.delivery import Delivery, log
from edge_agent.uplink.home import Home
from edge_agent.uplink.inbox import Inbox
from edge_agent.uplink.link import Broker, Disconnected, Packet
from edge_agent.uplink.outbox import BudgetFacts, Clock, Identity, Outbox
from edge_agent.uplink.outgoing import Outgoing

if TYPE_CHECKING:
    from edge_agent.uplink.client import Session

#: The longest that the loop does not look whether it should end.
SLICE_S = 0.25
#: Every wait is shorter by far, whatever the broker and the network do: they never make it late.
LATE_S = 20.0
#: For `offline` and DISCONNECT, after the outbox was handed over.
GOODBYE_S = 0.5


@frozen
class UplinkFacts:
    """What `status` and `health` say of the connection. `since`: the last change, on our clock."""

    broker: str
    connected: bool = False
    since: float | None = None
    protocol: str | None = None  # of the latest connection
    session: int = 0
    last_error: str | None = None
    next: str = ""
    sent: int = 0
    set_aside: int = 0
    budget: BudgetFacts | None = None


class Publisher:
    """Brings the outbox to the broker. All but `run` may be called from any thread."""

    def __init__(
        self,
        broker: Broker,
        identity: Identity,
        outbox: Outbox,
        clock: Clock,
        inbox: Inbox | None = None,
    ) -> None:
        """`inbox` takes the commands that are allowed; without one nothing is subscribed to."""
        self._outgoing = Outgoing(identity, outbox, clock, broker.pace, inbox)
        self._outgoing.meter = broker.meter
        if broker.discovery is not None:
            who = Discovered(identity.device, identity.base, identity.version, site=identity.site)
            self._outgoing.home = Home(broker.discovery, who, random.random)
        self._connector = Connector(broker, self._outgoing.bell)
        self._backoff = broker.pace.reconnect
        self._facts = UplinkFacts(broker.address)
        self._leave_by: float | None = None
        self._is_over = threading.Event()
        self._is_over.set()
        self.beat = Beat("publisher", renewable=True)

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set or the outbox was handed over. What the store raises goes through."""
        self._is_over.clear()
        try:
            while not self._is_leaving(stop):
                self._one_connection(stop)
                self._rest(stop)
        finally:
            self._is_over.set()

    def notify(self) -> None:
        """The outbox grew: send now. Cheap."""
        self._outgoing.bell.ring()

    def resend(self) -> None:
        """Rows that were sent wait once more: look at all of the outbox again."""
        self._outgoing.rewind()

    def retained(self, topic: str, body: Mapping[str, Any]) -> None:
        """The latest `state` or `health`: kept, sent when it changed and at every connect.

        `health` gets `pending`, `set_aside` and `protocol` added when it is sent.
        """
        if self._outgoing.retained.put(topic, body):
            self._outgoing.bell.ring()

    def watches(
        self,
        rules: tuple[tuple[str, str], ...],
        pipelines: tuple[str, ...],
        models: tuple[str, ...] = (),
        policies: tuple[str, ...] = (),
    ) -> None:
        """What is watched now, pairs of pipeline and rule, and by which models and policies: Home
        Assistant hears what changed."""
        home = self._outgoing.home
        if home is not None and home.tell(rules, pipelines, models, policies):
            self._outgoing.bell.ring()

    def hand_over(self, timeout_s: float) -> bool:
        """Before the end: send the rest for at most `timeout_s`, say `offline`, end `run`.

        Returns at once when there is no connection. True when nothing is left in the outbox.
        """
        self._leave_by = time.monotonic() + timeout_s
        self._outgoing.bell.ring()
        self._is_over.wait(timeout_s + 2 * GOODBYE_S)
        return self._outgoing.outbox.depth().depth == 0

    def facts(self) -> UplinkFacts:
        out = self._outgoing
        return replace(
            self._facts,
            sent=out.sent,
            set_aside=out.refusals.set_aside,
            budget=out.meter.facts(),
        )

    # --- one connection after another --------------------------------------------------------

    def _one_connection(self, stop: threading.Event) -> None:
        """From CONNECT to the end of the connection, or to the reason why there is none."""
        try:
            session = self._connector.connect(self._will(), lambda: self._is_leaving(stop))
        except ConnectFailed as failure:
            self._is_down(failure.message, failure.next)
            self._backoff = self._backoff.failed()
            return
        if session is None:
            return
        began = time.monotonic()
        self._is_up(session)
        try:
            self._serve(session, stop)
            log.info("stopped broker=%s", self._facts.broker)
        except Disconnected as end:
            self._is_down(f"{self._facts.broker}: {end}")
        finally:
            session.abort()
            self._facts = replace(self._facts, connected=False)
            self._backoff = self._backoff.ended(time.monotonic() - began)

    def _serve(self, session: Session, stop: threading.Event) -> None:
        delivery = Delivery(session, self._outgoing, self._sender(self._facts.session))
        delivery.announce("online")
        try:
            while not self._is_leaving(stop):
                delivery.step(SLICE_S)
            self._say_goodbye(session, delivery)
        except Disconnected:
            delivery.fell()
            raise
        finally:
            delivery.acknowledge()

    def _say_goodbye(self, session: Session, delivery: Delivery) -> None:
        """Hand over what the time allows, then `offline`; without room for it the will says so."""
        deadline = self._leave_by or 0.0
        while not delivery.drained() and time.monotonic() < deadline:
            delivery.step(SLICE_S / 5)
        delivery.tell_what_stays()
        deadline = time.monotonic() + GOODBYE_S
        while not delivery.has_room and time.monotonic() < deadline:
            delivery.settle(SLICE_S / 5)
        if not delivery.has_room:
            return
        delivery.announce("offline")
        while not delivery.is_answered and time.monotonic() < deadline:
            delivery.settle(SLICE_S / 5)
        session.close(GOODBYE_S)

    def _rest(self, stop: threading.Event) -> None:
        """Between two connections."""
        until = time.monotonic() + self._backoff.delay(random.random())
        while not self._is_leaving(stop) and (left := until - time.monotonic()) > 0:
            stop.wait(min(left, SLICE_S))

    def _is_leaving(self, stop: threading.Event) -> bool:
        """Asked in every loop of this thread: so it is the place for the heartbeat."""
        self.beat.begin("at the broker", LATE_S)
        return stop.is_set() or self._leave_by is not None

    # --- who speaks, and what is said of it --------------------------------------------------

    def _sender(self, session: int) -> Sender:
        identity = self._outgoing.identity
        return Sender(identity.device, identity.store, session)

    def _will(self) -> Packet:
        """`offline`, made before the connection it speaks of: hence the number of the next one."""
        session = self._facts.session + 1
        message = self._outgoing.status("offline", session)
        return self._outgoing.packet(message, self._sender(session), message.time)

    def _is_up(self, session: Session) -> None:
        number = self._facts.session + 1
        self._facts = UplinkFacts(
            self._facts.broker, True, self._outgoing.clock.now(), session.protocol, number
        )
        log.info(
            "connected broker=%s protocol=%s session=%d",
            self._facts.broker,
            session.protocol,
            number,
        )

    def _is_down(self, reason: str, what_next: str = "") -> None:
        if self._facts.connected or self._facts.last_error != reason:
            log.warning("no connection reason=%r", reason)
            self._facts = replace(self._facts, since=self._outgoing.clock.now())
        self._facts = replace(self._facts, connected=False, last_error=reason, next=what_next)
