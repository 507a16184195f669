"""What is counted is what crosses the wire; with the budget spent only what is urgent leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from edge_agent.policy import wire
from edge_agent.uplink.outbox import BudgetFacts


class Meter:
    def __init__(self) -> None:
        self.is_spent = False
        self.total = 0
        self.doubtful: set[int] = set()

    def sent(self, size: int) -> None:
        self.total += size

    def doubt(self, seqs: Iterable[int]) -> None:
        self.doubtful.update(seqs)

    def settled(self, seq: int) -> None:
        self.doubtful.discard(seq)

    def facts(self) -> BudgetFacts | None:
        return None


def test_every_byte_is_counted_and_those_sent_again_too(
    shared_mosquitto, proxy_to, publish, outbox, eventually
) -> None:
    proxy, meter = proxy_to(shared_mosquitto.port), Meter()
    for _ in range(60):
        outbox.fill("alert")
    running = publish(proxy.port, outbox, meter=meter)
    eventually(lambda: not outbox.rows, "all arrived")
    answers = wire.PUBACK * (len(outbox.acknowledged) + 1)
    assert abs(meter.total - answers - len(proxy.sent)) < 0.05 * len(proxy.sent)
    proxy.swallows = True
    before = meter.total
    running.put("alert", words="x" * 500)
    eventually(lambda: meter.total >= before + 500, "it left")
    (seq,) = outbox.rows
    proxy.cut()
    eventually(lambda: seq in meter.doubtful, "nobody knows whether it arrived")
    proxy.swallows = False
    proxy.cut()
    eventually(lambda: not outbox.rows, "it arrived again")
    assert seq not in meter.doubtful
    assert meter.total >= before + 1000


def test_only_what_is_urgent_leaves(
    shared_mosquitto, receive, publish, outbox, device, eventually
) -> None:
    meter = Meter()
    meter.is_spent = True
    for topic in ("summary", "alert", "summary", "lost"):
        outbox.fill(topic)
    receiver = receive(shared_mosquitto.port, device)
    running = publish(shared_mosquitto.port, outbox, meter=meter, discovery=f"ha-{device}")
    running.publisher.watches((("yard", "entered"),), ("yard",))
    running.publisher.retained("state", {"present": {}, "open": {"yard": ["entered"]}})
    eventually(lambda: len(outbox.rows) == 2, "the urgent ones leave")
    eventually(lambda: receiver.on("state"), "a new connection is told what is")
    for number in range(20):
        running.publisher.retained("state", {"present": {}, "open": {f"{number}": ["x"]}})
        running.put("alert", n=number)
    eventually(lambda: len(receiver.on("alert")) == 21, "alerts go on")
    assert len(receiver.on("state")) == 1
    assert not receiver.on("summary")
    assert running.publisher._outgoing.home.take_due(1e12) is not None, "not told yet"
    meter.is_spent = False
    eventually(lambda: len(receiver.on("summary")) == 2, "the rest leaves when it opens")
    eventually(lambda: len(receiver.on("state")) == 2, "and what is in sight")


def test_what_waits_for_the_budget_is_told_as_pending(
    shared_mosquitto, receive, publish, outbox, device, quick, eventually
) -> None:
    """Now and then, and before the end: a receiver must not take it for missing."""
    meter = Meter()
    receiver = receive(shared_mosquitto.port, device)
    pace = dataclasses.replace(quick, tell_sparing_s=0.3)
    running = publish(shared_mosquitto.port, outbox, meter=meter, pace=pace)
    running.publisher.retained("health", {"reasons": [], "expires": []})
    eventually(lambda: receiver.on("health"), "health is told")
    meter.is_spent = True
    running.put("alert")
    running.put("summary")

    def told() -> int:
        return int(receiver.on("health")[-1]["data"]["pending"]["depth"])

    running.put("summary")
    running.publisher.hand_over(2.0)
    eventually(lambda: told() == 2, "both are told as pending")
    assert len(outbox.rows) == 2
    eventually(lambda: receiver.on("status")[-1]["data"]["status"] == "offline", "and then goes")
