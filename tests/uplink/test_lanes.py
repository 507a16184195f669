"""The order in which the outbox leaves: alerts, what is live, the backlog at its rate."""

from __future__ import annotations

import dataclasses
import time

import pytest

from edge_agent.uplink.lanes import Lanes
from edge_agent.uplink.memory import MemoryOutbox
from edge_agent.uplink.outbox import Pace

PACE = Pace(batch=5)


def lanes_over(outbox: MemoryOutbox, pace: Pace = PACE) -> Lanes:
    return Lanes(outbox, pace, lambda seq: False)


def fill(outbox: MemoryOutbox, *topics: str) -> None:
    for topic in topics:
        outbox.put(topic, {}, 1.7e9)


def leaving(lanes: Lanes, now: float = 1000.0, most: int = 1000) -> list[int | None]:
    found = []
    while len(found) < most and (message := lanes.next(now)) is not None:
        found.append(message.seq)
    return found


def test_what_waited_leaves_alerts_first_and_then_by_age() -> None:
    outbox = MemoryOutbox()
    fill(outbox, "summary", "alert", "summary", "lost", "summary", "alert")
    lanes = lanes_over(outbox)
    assert leaving(lanes) == [2, 4, 6, 1, 3, 5]
    assert lanes.is_empty


def test_what_is_live_leaves_before_the_backlog_and_alerts_before_that() -> None:
    outbox = MemoryOutbox()
    fill(outbox, *["summary"] * 12)
    lanes = lanes_over(outbox)
    assert leaving(lanes, most=3) == [1, 2, 3]
    fill(outbox, "summary", "alert")
    lanes.grew()
    assert leaving(lanes) == [14, 13, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_alerts_keep_their_order_but_for_a_live_one_behind_a_long_backlog() -> None:
    outbox = MemoryOutbox()
    fill(outbox, *["alert"] * 12)
    lanes = lanes_over(outbox)
    assert leaving(lanes, most=2) == [1, 2]
    fill(outbox, "alert")
    lanes.grew()
    assert leaving(lanes, most=2) == [3, 4]
    lanes.grew()
    assert leaving(lanes, 1001.0) == [13, 5, 6, 7, 8, 9, 10, 11, 12]


def test_the_backlog_keeps_to_its_rate_and_the_living_do_not() -> None:
    outbox = MemoryOutbox()
    fill(outbox, *["summary"] * 1000)
    lanes = lanes_over(outbox, dataclasses.replace(PACE, rate_msgs=10.0))
    sent = sum(len(leaving(lanes, 1000.0 + tick / 4)) for tick in range(41))
    assert 98 <= sent <= 100
    fill(outbox, *["summary"] * 50)
    lanes.grew()
    assert len(leaving(lanes, 1010.0)) == 50


def test_no_more_than_a_batch_of_each_lane_is_in_memory() -> None:
    outbox = MemoryOutbox()
    fill(outbox, *["summary", "alert"] * 500)
    lanes = lanes_over(outbox)
    for _ in range(700):
        assert lanes.next(1000.0) is not None
        held = (lanes._urgent, lanes._urgent_live, lanes._live, lanes._backlog)
        assert sum(len(lane.queue) for lane in held) <= 2 * PACE.batch


def test_a_live_alert_overtakes_a_backlog_at_a_real_broker(
    shared_mosquitto, receive, publish, outbox, device, quick, eventually
) -> None:
    for _ in range(400):
        outbox.fill("summary")
    receiver = receive(shared_mosquitto.port, device)
    running = publish(
        shared_mosquitto.port, outbox, pace=dataclasses.replace(quick, rate_msgs=40.0)
    )
    eventually(lambda: receiver.on("summary"), "the backlog drains")
    began = time.monotonic()
    running.put("alert")
    eventually(lambda: receiver.on("alert"), "the live alert arrived")
    left, took = len(outbox.rows), time.monotonic() - began
    if took > 5.0:
        pytest.skip(f"this machine took {took:.0f} s for one message")
    assert left > 100, "and most of the backlog still waits"


def test_what_waits_again_is_read_anew_but_for_what_is_under_way() -> None:
    outbox = MemoryOutbox()
    for number in range(4):
        outbox.put("alert" if number == 2 else "summary", {}, 1.0)
    lanes = lanes_over(outbox)
    first = [lanes.next(float(place)) for place in range(4)]
    assert [message.seq for message in first if message] == [3, 1, 2, 4]
    outbox.put("summary", {}, 1.0)
    lanes.rewind({1, 3})
    again = [lanes.next(100.0 + place) for place in range(4)]
    assert [message.seq for message in again if message] == [2, 4, 5]


def test_with_the_budget_spent_only_urgent_rows_leave_and_the_rest_is_read_anew() -> None:
    outbox = MemoryOutbox()
    fill(outbox, "summary", "alert", *["summary"] * 6)
    lanes = lanes_over(outbox)
    assert leaving(lanes, most=2) == [2, 1]
    lanes.spare(True)
    fill(outbox, "summary", "alert")
    lanes.grew()
    assert leaving(lanes) == [10]
    assert lanes.is_empty
    assert not lanes.look()
    for seq in (3, 4, 5, 9):  # folded meanwhile
        del outbox.rows[seq]
    fill(outbox, "summary")
    lanes.spare(False)
    lanes.grew()
    assert leaving(lanes) == [11, 6, 7, 8]
