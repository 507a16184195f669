"""The outbox over a real mosquitto: order, at least once, refusals, retained topics, the end."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest


def seqs(envelopes: list[dict]) -> list[int]:
    return [envelope["seq"] for envelope in envelopes]


def test_messages_arrive_once_each_and_in_order(
    shared_mosquitto, receive, publish, device, eventually
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    running = publish(shared_mosquitto.port)
    sent = [running.put() for _ in range(500)]
    eventually(lambda: len(receiver.on("alert")) >= 500, "500 alerts arrived")
    eventually(lambda: not running.outbox.rows, "all are acknowledged")
    got = receiver.on("alert")
    assert seqs(got) == list(range(1, 501))
    assert [envelope["id"] for envelope in got] == [message.id for message in sent]
    assert running.outbox.acknowledged == list(range(1, 501))
    assert running.publisher.facts().sent == 500


def test_acknowledgements_are_batched(shared_mosquitto, publish, outbox, eventually) -> None:
    for _ in range(1000):
        outbox.fill()
    running = publish(shared_mosquitto.port, outbox)
    eventually(lambda: not running.outbox.rows, "all are acknowledged")
    assert running.outbox.commits < 100


def test_what_waited_before_the_start_is_sent_and_says_that_it_is_late(
    shared_mosquitto, receive, publish, outbox, device, eventually
) -> None:
    outbox.fill(time=1_600_000_000.0)
    outbox.fill(time=1_700_000_000.0)
    receiver = receive(shared_mosquitto.port, device)
    publish(shared_mosquitto.port, outbox)
    got = eventually(lambda: len(receiver.on("alert")) == 2 and receiver.on("alert"), "both came")
    assert [envelope.get("late") for envelope in got] == [True, None]


def test_a_broker_that_comes_later_gets_everything(
    new_mosquitto, receive, publish, proxy_to, device, eventually, caplog
) -> None:
    caplog.set_level(logging.INFO, "edge_agent.uplink")
    broker = new_mosquitto()
    path = proxy_to(broker.port)
    path.is_shut = True
    running = publish(path.port)
    for _ in range(30):
        running.put()
    eventually(lambda: running.publisher.facts().last_error, "it says that there is no broker")
    assert not running.publisher.facts().connected
    broker.start()
    receiver = receive(broker.port, device)
    path.is_shut = False
    eventually(lambda: not running.outbox.rows, "all are acknowledged")
    eventually(lambda: len(receiver.on("alert")) >= 30, "all arrived")
    assert seqs(receiver.on("alert")) == list(range(1, 31))


def test_a_missing_broker_is_logged_once_and_without_a_traceback(
    new_mosquitto, publish, eventually, caplog
) -> None:
    caplog.set_level(logging.INFO, "edge_agent.uplink")
    port = new_mosquitto().port  # never started
    running = publish(port)
    facts = eventually(
        lambda: running.publisher.facts().last_error and running.publisher.facts(), "a reason"
    )
    time.sleep(1.0)  # several attempts more
    assert facts.last_error == f"127.0.0.1:{port} refuses connections"
    assert facts.next
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None
    assert running.is_alive


def test_kill_minus_nine_of_the_broker_loses_nothing(
    new_mosquitto, receive, publish, proxy_to, device, eventually
) -> None:
    broker = new_mosquitto().start()
    path = proxy_to(broker.port)  # holds the publisher back until the receiver is subscribed
    receiver = receive(broker.port, device)
    running = publish(path.port)
    total = 0
    for _ in range(3):
        for _ in range(400):
            running.put()
        total += 400
        seen = len(receiver.on("alert"))
        eventually(lambda seen=seen: len(receiver.on("alert")) > seen + 50, "some arrived")
        subscribed = receiver.subscriptions
        path.is_shut = True
        broker.kill()
        broker.start()
        eventually(lambda n=subscribed: receiver.subscriptions > n, "subscribed again")
        path.is_shut = False
    eventually(lambda: not running.outbox.rows, "all are acknowledged")
    eventually(lambda: len(set(seqs(receiver.on("alert")))) == total, "every seq arrived")
    by_id = {envelope["id"]: envelope["seq"] for envelope in receiver.on("alert")}
    assert sorted(by_id.values()) == list(range(1, total + 1))
    assert running.publisher.facts().session > 1


def test_a_message_is_the_same_each_time_it_is_sent(
    shared_mosquitto, receive, publish, proxy_to, device, eventually
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    path = proxy_to(shared_mosquitto.port)
    running = publish(path.port)
    eventually(lambda: running.publisher.facts().connected, "connected")
    path.swallows = True  # the broker takes the message; its PUBACK never comes
    running.put()
    eventually(lambda: receiver.on("alert"), "it arrived once")
    path.swallows = False
    path.cut()
    eventually(lambda: not running.outbox.rows, "it is acknowledged")
    first, *_, last = receiver.on("alert")
    assert (first["seq"], first["id"]) == (last["seq"], last["id"])
    assert last["session"] > first["session"]


def test_a_path_that_swallows_pubacks_is_noticed_and_left(
    shared_mosquitto, publish, proxy_to, quick, eventually
) -> None:
    path = proxy_to(shared_mosquitto.port)
    running = publish(path.port, pace=dataclasses.replace(quick, ack_timeout_s=1.0))
    eventually(lambda: running.publisher.facts().connected, "connected")
    path.swallows = True
    running.put()
    eventually(
        lambda: "no PUBACK within 1 s" in (running.publisher.facts().last_error or ""),
        "the silence is noticed",
    )
    path.swallows = False
    eventually(lambda: not running.outbox.rows, "it was sent again")


def test_a_half_open_connection_is_noticed_though_nothing_is_to_be_sent(
    shared_mosquitto, publish, proxy_to, eventually
) -> None:
    path = proxy_to(shared_mosquitto.port)
    running = publish(path.port, keepalive_s=1)
    eventually(lambda: running.publisher.facts().connected, "connected")
    path.swallows = True  # the other end is gone, and no RST ever says so
    eventually(lambda: not running.publisher.facts().connected, "the silence is noticed")
    assert "Keep alive timeout" in (running.publisher.facts().last_error or "")
    path.swallows = False
    running.put()
    eventually(lambda: not running.outbox.rows, "and the next message arrives")


def test_a_refused_topic_does_not_hold_up_the_others(
    new_mosquitto, receive, publish, device, tmp_path: Path, eventually
) -> None:
    acl = tmp_path / "acl"
    allowed = "".join(
        f"topic readwrite edge/v1/{device}/{topic}\n"
        for topic in ("alert", "status", "health", "lost")
    )
    acl.write_text(f"{allowed}topic read edge/v1/{device}/#\n")
    broker = new_mosquitto(f"acl_file {acl}\n").start()
    receiver = receive(broker.port, device)
    running = publish(broker.port)
    running.publisher.retained("health", {"reasons": []})
    for number in range(60):
        running.put("summary" if number % 3 == 0 else "alert")
    eventually(lambda: len(receiver.on("alert")) == 40, "every alert arrived")
    eventually(lambda: running.publisher.facts().set_aside == 20, "the summaries are set aside")
    eventually(lambda: not running.outbox.rows, "what is declared does not wait")
    assert not receiver.on("summary")
    ranges = [span for lost in receiver.on("lost") for span in lost["data"]["ranges"]]
    gone = {seq for first, last in ranges for seq in range(first, last + 1)}
    assert gone == set(range(1, 61, 3))
    assert {lost["data"]["reason"] for lost in receiver.on("lost")} == {"refused"}
    running.put()
    eventually(lambda: len(receiver.on("alert")) == 41, "and the next alert comes through")
    eventually(lambda: settled(receiver.on("health")[-1]["data"]), "health tells of them")
    said = len(receiver.on("health"))
    time.sleep(0.5)  # ten times as long as two messages of one topic must lie apart
    assert len(receiver.on("health")) <= said + 2, "what stays refused is not news"


def settled(health: dict[str, Any]) -> bool:
    return health["set_aside"] == 20 and health["pending"]["depth"] == 0


def test_a_message_that_is_too_large_for_the_broker_is_never_sent(
    new_mosquitto, receive, publish, device, eventually
) -> None:
    broker = new_mosquitto("max_packet_size 2000\n").start()
    receiver = receive(broker.port, device)
    running = publish(broker.port)
    large = running.put("alert", filling=["x" * 7] * 600)
    running.put()
    eventually(lambda: len(receiver.on("alert")) == 1, "the one behind it arrived")
    eventually(lambda: receiver.on("lost"), "what was dropped is declared")
    assert receiver.on("lost")[0]["data"] == {
        "ranges": [[large.seq, large.seq]],
        "counts": {"alert": 1},
        "reason": "refused",
        "previous_store": None,
    }
    eventually(lambda: not running.outbox.rows, "nothing waits")
    facts = running.publisher.facts()
    assert (facts.connected, facts.session, facts.set_aside) == (True, 1, 1)


def test_no_more_is_in_flight_than_the_broker_can_take(
    new_mosquitto, receive, publish, proxy_to, device, quick, eventually
) -> None:
    broker = new_mosquitto("max_inflight_messages 2\n").start()  # announced as receive maximum
    receiver = receive(broker.port, device)
    path = proxy_to(broker.port)
    pace = dataclasses.replace(quick, ack_timeout_s=60.0)
    running = publish(path.port, pace=pace)
    eventually(lambda: receiver.on("status"), "online arrived")
    running.put()
    eventually(lambda: not running.outbox.rows, "the first one is acknowledged")
    path.swallows = True  # from now on nothing is answered
    for _ in range(50):
        running.put()
    eventually(lambda: len(receiver.on("alert")) == 3, "two more are on their way")
    time.sleep(0.5)
    assert len(receiver.on("alert")) == 3


def test_what_is_set_aside_is_not_sent_again_on_the_next_connection(
    new_mosquitto, publish, proxy_to, device, quick, tmp_path: Path, eventually
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic write edge/v1/{device}/alert\ntopic write edge/v1/{device}/lost\n")
    path = proxy_to(new_mosquitto(f"acl_file {acl}\n").start().port)
    running = publish(path.port)
    refused = running.put("summary")
    eventually(lambda: running.publisher.facts().set_aside == 1, "it is set aside")
    assert path.sent.count(refused.id.encode()) == quick.tries
    path.cut()
    running.put("alert")
    eventually(lambda: not running.outbox.rows, "the alert and the declaration are acknowledged")
    assert running.publisher.facts().session == 2
    assert path.sent.count(refused.id.encode()) == quick.tries


def test_an_alert_wakes_the_publisher(
    shared_mosquitto, receive, publish, device, eventually
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    running = publish(shared_mosquitto.port)
    eventually(lambda: receiver.on("status"), "online")
    running.outbox.fill()
    time.sleep(0.6)  # nobody said that the outbox grew, and it is not yet time to look
    assert not receiver.on("alert")
    running.publisher.notify()
    eventually(lambda: receiver.on("alert"), "the alert arrived")


# --- unsequenced topics --------------------------------------------------------------------------


def test_status_is_retained_and_says_who_is_online(
    shared_mosquitto, receive, publish, device, eventually
) -> None:
    first = receive(shared_mosquitto.port, device)
    publish(shared_mosquitto.port)
    eventually(lambda: first.on("status"), "online arrived")
    later = receive(shared_mosquitto.port, device)
    (online,) = eventually(lambda: later.on("status"), "a retained status")
    assert later.was_retained("status")
    assert online["seq"] is None
    said = {"status": "online", "boot": 7, "session": 1, "version": "0.1", "site": None}
    assert online["data"] == {**said, "tags": {}}


def test_of_a_retained_topic_only_the_latest_is_sent_and_again_at_every_connect(
    shared_mosquitto, receive, publish, proxy_to, device, eventually
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    path = proxy_to(shared_mosquitto.port)
    path.is_shut = True
    running = publish(path.port)
    for people in range(100):
        running.publisher.retained("state", {"people": people})
    path.is_shut = False
    eventually(lambda: receiver.on("state"), "a state arrived")
    assert [envelope["data"] for envelope in receiver.on("state")] == [{"people": 99}]
    running.publisher.retained("state", {"people": 99})  # nothing new
    path.cut()
    eventually(lambda: len(receiver.on("state")) == 2, "it came again after the reconnect")
    assert receiver.on("state")[-1]["data"] == {"people": 99}


def test_health_tells_how_much_waits_and_again_when_it_is_sent(
    shared_mosquitto, receive, publish, outbox, device, eventually
) -> None:
    for _ in range(3):
        outbox.fill()
    receiver = receive(shared_mosquitto.port, device)
    running = publish(shared_mosquitto.port, outbox)
    running.publisher.retained("health", {"reasons": []})
    eventually(
        lambda: (
            receiver.on("health") and receiver.on("health")[-1]["data"]["pending"]["depth"] == 0
        ),
        "health says that nothing waits",
    )
    assert receiver.on("health")[-1]["data"] == {
        "reasons": [],
        "protocol": "5",
        "pending": {"depth": 0, "oldest_seq": None, "newest_seq": None, "last_seq": 3},
        "set_aside": 0,
        "unheard": 0,
    }


# --- the end -------------------------------------------------------------------------------------


def test_handing_over_sends_the_rest_and_says_offline(
    shared_mosquitto, receive, publish, outbox, device, eventually
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    running = publish(shared_mosquitto.port, outbox)
    eventually(lambda: running.publisher.facts().connected, "connected")
    for _ in range(300):
        outbox.fill()  # nobody notified: handing over looks for itself
    assert running.publisher.hand_over(timeout_s=5.0) is True
    assert not outbox.rows
    assert not running.publisher.facts().connected
    eventually(lambda: len(receiver.on("status")) == 2, "offline arrived")
    assert [one["data"]["status"] for one in receiver.on("status")] == ["online", "offline"]
    assert len(receiver.on("alert")) == 300


def test_handing_over_without_a_broker_does_not_wait(new_mosquitto, publish, eventually) -> None:
    running = publish(new_mosquitto().port)
    running.put()
    eventually(lambda: running.publisher.facts().last_error, "no broker")
    began = time.monotonic()
    assert running.publisher.hand_over(timeout_s=30.0) is False
    assert time.monotonic() - began < 5.0
    assert not running.is_alive


def test_handing_over_ends_in_time_when_nothing_is_answered(
    shared_mosquitto, publish, proxy_to, eventually
) -> None:
    path = proxy_to(shared_mosquitto.port)
    running = publish(path.port)
    eventually(lambda: running.publisher.facts().connected, "connected")
    path.swallows = True
    running.put()
    began = time.monotonic()
    assert running.publisher.hand_over(timeout_s=0.5) is False
    assert time.monotonic() - began < 5.0


def test_what_the_store_raises_reaches_the_supervisor_and_a_second_run_goes_on(
    shared_mosquitto, publish, outbox, eventually
) -> None:
    outbox.broken = OSError("disk full")
    running = publish(shared_mosquitto.port, outbox)
    running.put()
    eventually(lambda: running.error, "the error came through")
    assert running.error is outbox.broken
    assert not running.publisher.facts().connected

    outbox.broken = None
    stop = threading.Event()
    again = threading.Thread(target=running.publisher.run, args=(stop,))
    again.start()
    eventually(lambda: not outbox.rows, "the row was sent after all")
    stop.set()
    again.join(10)
    assert not again.is_alive()


@pytest.mark.parametrize("moment", ["connected", "resting"])
def test_the_publisher_returns_promptly_after_stop(
    shared_mosquitto, new_mosquitto, publish, eventually, moment: str
) -> None:
    port = shared_mosquitto.port if moment == "connected" else new_mosquitto().port
    running = publish(port)
    facts = running.publisher.facts
    eventually(lambda: facts().connected or facts().last_error, "a first attempt")
    assert running.stop() < 3.0
