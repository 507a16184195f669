"""A message that no broker takes is found, set aside and declared; the others pass it by."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest
from uplink.scripted_broker import HANG_UP, ScriptedBroker

from edge_agent.policy.backoff import Backoff
from edge_agent.uplink.suspects import Suspects

REFUSED, QUOTA, INVALID, NOT_AUTHORIZED, NO_SUBSCRIBERS = 0x83, 0x97, 0x99, 0x87, 0x10


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedBroker]]:
    made: list[ScriptedBroker] = []

    def make(answer: Callable[[str, bytes], int | None]) -> ScriptedBroker:
        made.append(ScriptedBroker(answer))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


def declared(receiver) -> list[list[int]]:
    return [span for lost in receiver.on("lost") for span in lost["data"]["ranges"]]


def test_what_makes_a_real_broker_hang_up_is_set_aside_and_the_rest_arrives(
    new_mosquitto, receive, publish, outbox, device, eventually
) -> None:
    """Under 3.1.1 mosquitto does not say how large a packet may be; it hangs up."""
    broker = new_mosquitto("max_packet_size 3000\n").start()
    receiver = receive(broker.port, device)
    for _ in range(5):
        outbox.fill()
    poison = outbox.fill("alert", filling=["x" * 7] * 900, n=0)
    for _ in range(30):
        outbox.fill()
    running = publish(broker.port, outbox, protocol="3.1.1")
    eventually(lambda: len({e["seq"] for e in receiver.on("alert")}) == 35, "all others arrived")
    eventually(lambda: receiver.on("lost"), "the one is declared")
    assert declared(receiver) == [[poison.seq, poison.seq]]
    assert receiver.on("lost")[0]["data"]["reason"] == "refused"
    eventually(lambda: not outbox.rows, "nothing waits")
    assert running.publisher.facts().set_aside == 1
    sessions = running.publisher.facts().session
    running.put()
    eventually(lambda: not outbox.rows, "and the next one arrives")
    assert running.publisher.facts().session == sessions


def test_a_path_that_is_cut_again_and_again_convicts_nobody(
    shared_mosquitto, publish, proxy_to, outbox, quick, eventually
) -> None:
    path = proxy_to(shared_mosquitto.port)
    for _ in range(50):
        outbox.fill()
    path.swallows = False
    running = publish(path.port, outbox, pace=dataclasses.replace(quick, ack_timeout_s=0.2))
    eventually(lambda: running.publisher.facts().connected, "connected")
    path.swallows = True
    for _ in range(40):
        outbox.fill()
    path.cut()
    # `swallows` also swallows CONNACK: let that through, and nothing else
    for _ in range(2 * quick.tries):
        path.swallows = False
        before = running.publisher.facts().session
        path.cut()
        eventually(lambda n=before: running.publisher.facts().session > n, "connected again")
        path.swallows = True
        running.put()
        time.sleep(0.1)
    path.swallows = False
    eventually(lambda: not outbox.rows, "everything was sent in the end")
    assert running.publisher.facts().set_aside == 0


def test_a_message_is_only_suspected_when_it_was_there_twice_and_convicted_alone() -> None:
    suspects = Suspects(tries=3)
    assert suspects.fell([1, 2, 3], None) is None
    assert not suspects.untried()
    assert suspects.fell([2, 3, 4], None) is None
    assert suspects.untried() == [2, 3]
    suspects.cleared(2)
    assert suspects.fell([3], 3) is None
    assert (suspects.untried(), suspects.notorious()) == ([], [3])
    assert suspects.fell([7, 8], None) is None
    assert suspects.fell([3], 3) is None
    assert suspects.fell([3], 3) == 3
    assert 3 not in suspects


def test_quota_exceeded_is_nobodys_fault_and_is_waited_for(
    scripted, publish, outbox, quick, eventually
) -> None:
    full = [True]
    broker = scripted(lambda topic, _: QUOTA if full[0] and "alert" in topic else 0)
    for _ in range(200):
        outbox.fill()
    slow = dataclasses.replace(quick, refused=Backoff(0.2, 0.4, floor_s=0.2))
    running = publish(broker.port, outbox, pace=slow)
    time.sleep(2.0)
    tried = sum("alert" in topic for topic, _ in broker.got)
    assert 20 <= tried <= 300, "a broker that is full is left alone, one window at a time"
    assert len(outbox.rows) == 200
    full[0] = False
    eventually(lambda: not outbox.rows, "all of them arrived")
    assert running.publisher.facts().set_aside == 0


@pytest.mark.parametrize(
    ("code", "tries"), [(REFUSED, 5), (NOT_AUTHORIZED, 5), (INVALID, 1)], ids=hex
)
def test_a_refused_message_is_tried_as_often_as_it_makes_sense(
    scripted, publish, outbox, eventually, code: int, tries: int
) -> None:
    broker = scripted(lambda _, payload: code if b"poison" in payload else 0)
    outbox.fill("alert", name="poison")
    running = publish(broker.port, outbox)
    for _ in range(20):
        running.put()
    eventually(lambda: not outbox.rows, "all is sent or declared")
    assert broker.count(b'"poison"') == tries
    (lost,) = (payload for topic, payload in broker.got if topic.endswith("/lost"))
    assert b'"ranges":[[1,1]]' in lost
    assert b'"refused"' in lost
    assert running.publisher.facts().set_aside == 1


def test_a_message_that_the_broker_never_answers_is_found_too(
    scripted, publish, outbox, quick, eventually
) -> None:
    broker = scripted(lambda _, payload: None if b"poison" in payload else 0)
    poison = outbox.fill("alert", name="poison")
    running = publish(broker.port, outbox, pace=dataclasses.replace(quick, ack_timeout_s=0.3))
    for _ in range(20):
        running.put()
    eventually(lambda: not outbox.rows, "all is sent or declared")
    assert poison.seq not in outbox.acknowledged
    assert running.publisher.facts().set_aside == 1


def test_health_says_how_much_nobody_heard(scripted, publish, outbox, eventually) -> None:
    broker = scripted(lambda topic, _: NO_SUBSCRIBERS if topic.endswith("/alert") else 0)
    running = publish(broker.port, outbox)
    running.publisher.retained("health", {"reasons": []})
    running.put()
    eventually(lambda: not outbox.rows, "taken is taken: a PUBACK came")
    running.publisher.retained("health", {"reasons": [], "expires": []})
    eventually(lambda: broker.count(b'"unheard":1'), "health says it")


@pytest.mark.slow
def test_a_broker_that_hangs_up_on_everything_is_not_stormed(
    scripted, publish, outbox, quick, eventually
) -> None:
    """A broker that takes the connection and ends it, at the shipped back-off."""
    broker = scripted(lambda topic, _: HANG_UP)
    outbox.fill()
    publish(broker.port, outbox, pace=dataclasses.replace(quick, reconnect=Backoff()))
    time.sleep(6.0)
    assert 1 <= len(broker.connects) <= 12
