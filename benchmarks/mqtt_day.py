"""What a day of one camera costs by MQTT, byte by byte, beside what the raw stream would.

    python benchmarks/mqtt_day.py [--alerts 20] [--others 1200] [--raw-kbit 2000]

Nothing is sent: every message of the day is made by the agent's own code (`policy/`) from the
detections of a synthetic day at 5 frames a second, and counted with its PUBACK as MQTT 5 has it,
without TCP and TLS; somebody comes for every event, at random, and stays for twelve seconds. With
`state` as it leaves by default (`mqtt.state.kb_per_day`), `health` and `status` of a day with three
connects and a change an hour, and the pings. Promised: at most 400 kB together.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from dataclasses import dataclass, field, replace

from edge_agent.config.schema import State
from edge_agent.policy.coverage import Coverage
from edge_agent.policy.documents import About, alert_document, rfc3339
from edge_agent.policy.envelope import Sender, encode
from edge_agent.policy.presence import Presence
from edge_agent.policy.summary import Heat, Window, WindowAccount, document
from edge_agent.policy.wire import PING, PUBACK, publish
from edge_agent.types import Event, Ledger, Message, OperatingPoint, Priority

DAY_S, WINDOW_S, FPS = 86_400.0, 300.0, 5.0
LIMIT_KB = 400.0
START = 1_767_225_600.0  # 2026-01-01
DEVICE = "dock-07"
SENDER = Sender(DEVICE, "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", 1)
ABOUT = About("person-detector", "1.0.0", "ab" * 32, "litert 2.3.0", "cd" * 32)
KEEPALIVE_S = 30.0
STAY_S = 12.0
CONNECTS, HEALTH_CHANGES = 3, 24
STATE_BYTES = 1000 * State().kb_per_day
RULES = ("entered", "crowd", "person-in-gate")


def on_the_wire(topic: str, body: dict[str, object], seq: int | None, time: float) -> int:
    message = Message(seq, f"{seq or 0:016x}/open", topic, 1, seq is None, time, body, boot=7)
    payload = encode(message, SENDER, time)
    return publish(f"edge/v1/{DEVICE}/{topic}", len(payload)) + PUBACK


def an_event(number: int, time: float) -> Event:
    return Event(
        id=f"{number:016x}", pipeline="people", source="dock", rule="person-in-gate",
        priority=Priority.ALERT, label="person", zone="gate", text="person in gate for 2 s",
        opened=time, seen=time, closed=None, close_reason=None, score_max=0.91,
        score_median=0.87, track=number, count=1, box=None, frame=4711,
        evidence=({"kind": "snapshot", "path": f"evidence/{number:016x}.jpg", "sha256": "e" * 64},),
    )  # fmt: skip


def alerts(count: int) -> list[int]:
    sizes = []
    for number in range(count):
        time = START + number * DAY_S / count
        event = an_event(number, time)
        closed = replace(event, closed=time + 12.0, seen=time + 12.0, close_reason="gone")
        sizes += [
            on_the_wire("alert", alert_document(each, ABOUT), number + 1, time)
            for each in (event, closed)
        ]
    return sizes


def summaries(events: int) -> list[int]:
    chance, sizes, windows = random.Random(1), [], int(DAY_S / WINDOW_S)
    for number in range(windows):
        opened = START + number * WINDOW_S
        window = Window("people", opened)
        here = events * (number + 1) // windows - events * number // windows
        for _ in range(here):
            window.rules[chance.choice(RULES)] += 1
            window.zones[chance.choice(("gate", "yard"))] += 1
            for _ in range(60):  # twelve seconds in sight
                window.labels[chance.choice(("person", "person", "car"))] += 1
                window.score.add(min(1.0, max(0.0, chance.gauss(0.8, 0.1))))
        inferred = max(10, here * 60)
        for _ in range(inferred):
            window.latency.add(chance.lognormvariate(3.0, 0.3))
        captured = int(WINDOW_S * 15)
        rate, motion = captured * 2 // 3, captured - captured * 2 // 3 - inferred
        ledger = Ledger(captured, inferred, {"motion": motion, "rate": rate}, 0)
        watched = {
            rule: Coverage(WINDOW_S, {}, {}) for rule in ("entered", "crowd", "person-in-gate")
        }
        heat = Heat((61.3, 63.0), OperatingPoint())
        drift = {"score": 0.123, "size": 0.087, "label": 0.021} if here > 3 else None
        account = WindowAccount(ledger, 0.0, watched, heat, drift)
        body = document(window, opened + WINDOW_S, account)
        sizes.append(on_the_wire("summary", body, number + 1, opened + WINDOW_S))
    return sizes


@dataclass
class Told:
    """What a day of `state` was: bytes of each message, and how late it said that somebody came
    and that nobody was there any more."""

    sizes: list[int] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)
    left_s: list[float] = field(default_factory=list)


def states(events: int, day_bytes: float | None) -> Told:
    """Somebody comes, somebody goes: looked at every second, as the publisher does."""
    chance, told, presence = random.Random(2), Told(), Presence(day_bytes)
    visits = sorted(chance.uniform(0.0, DAY_S - STAY_S) for _ in range(events))
    ends, shown, began, ended = [], False, None, None
    for second in range(int(DAY_S)):
        while visits and visits[0] <= second:
            ends.append(visits.pop(0) + STAY_S)
        ends = [end for end in ends if end > second]
        if ends and began is None:
            began, ended = second, None
        if not ends and began is not None:
            began, ended = None, second
        if began == second and shown:  # it never said that the one before had left
            told.came_s.append(0.0)
        body = a_state(len(ends))
        if not presence.is_due(body, float(second)):
            continue
        size = on_the_wire("state", body, None, START + second)
        presence.told(body, size, float(second))
        told.sizes.append(size)
        if ends and not shown and began is not None:
            told.came_s.append(float(second - began))
        if shown and not ends and ended is not None:
            told.left_s.append(float(second - ended))
        shown = bool(ends)
    return told


def a_state(persons: int) -> dict[str, object]:
    if not persons:
        return {"present": {"people": {"labels": {}, "zones": {}}}, "open": {}}
    here = {"person": persons}
    present = {"people": {"labels": here, "zones": {"gate": here}}}
    return {"present": present, "open": {"people": ["entered"]}}


def healths() -> list[int]:
    waiting = {"depth": 3, "oldest_seq": 99_997, "newest_seq": 99_999, "last_seq": 99_999}
    reason = {"code": "source_lost", "since": rfc3339(START)}
    body = {
        "reasons": [reason], "expires": [], "protocol": "5", "pending": waiting, "set_aside": 0,
        "unheard": 0,
    }  # fmt: skip
    return [on_the_wire("health", body, None, START)] * (CONNECTS + HEALTH_CHANGES)


def statuses() -> list[int]:
    body = {
        "status": "online", "boot": 7, "session": 3, "version": "0.1.0", "site": "osaka-1",
        "tags": {"line": "a", "floor": "2"},
    }  # fmt: skip
    # CONNECT carries the last will, which is as long, and some names.
    return [3 * on_the_wire("status", body, None, START)] * CONNECTS


def share(waits: list[float], limit: float) -> str:
    return f"{100 * sum(wait <= limit for wait in waits) / len(waits):.1f} %"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--alerts", type=int, default=20)
    options.add_argument("--others", type=int, default=1200)
    options.add_argument("--raw-kbit", type=float, default=2000.0, help="a second, of the camera")
    given = options.parse_args()
    events = given.alerts + given.others
    told = states(events, STATE_BYTES)
    parts = {
        "alert": alerts(given.alerts),
        "summary": summaries(events),
        "state": told.sizes,
        "health": healths(),
        "status": statuses(),
        "ping": [PING] * int(DAY_S / KEEPALIVE_S),
    }
    print(f"a day with {given.alerts} alerts and {given.others} other events")
    for name, sizes in parts.items():
        print(f"{name:9} {len(sizes):6} x {max(sizes):4} bytes at most {sum(sizes) / 1000:8.1f} kB")
    total = sum(map(sum, parts.values())) / 1000
    raw = given.raw_kbit * DAY_S / 8
    print(f"together: {total:.1f} kB, promised: at most {LIMIT_KB:.0f}")
    print(f"the raw stream: {raw / 1e6:.1f} GB, {raw / total:.0f} times as much")
    late = statistics.quantiles(told.came_s, n=100)
    print(
        f"somebody comes: told within 1 s {share(told.came_s, 1.0)}, 99 % within {late[98]:.0f} s"
    )
    print(f"nobody is left: told after {statistics.median(told.left_s):.0f} s (median)")
    always = sum(states(events, None).sizes) / 1000
    print(f"every change of state told at once would be {always:.1f} kB alone")
    return 0 if total <= LIMIT_KB else 1


if __name__ == "__main__":
    sys.exit(main())
