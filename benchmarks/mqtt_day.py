"""What a day of one camera costs by MQTT, byte by byte, beside what the raw stream would.

    python benchmarks/mqtt_day.py [--alerts 20] [--others 1200] [--raw-kbit 2000]

Nothing is sent: every message of the day is made by the agent's own code (`policy/`) from the
detections of a synthetic day at 5 frames a second, and counted as the PUBLISH, PUBACK and PINGREQ
that MQTT 5 makes of it, without TCP and TLS. Promised: at most 400 kB, which the sequenced
topics keep. `state`, which is for dashboards, is counted beside them: it has two messages for each
thing that comes and goes.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import replace

from edge_agent.policy.coverage import Coverage
from edge_agent.policy.documents import About, alert_document
from edge_agent.policy.envelope import Sender, encode
from edge_agent.policy.summary import Heat, Window, WindowAccount, document
from edge_agent.types import Event, Ledger, Message, OperatingPoint, Priority

DAY_S, WINDOW_S, FPS = 86_400.0, 300.0, 5.0
LIMIT_KB = 400.0
START = 1_767_225_600.0  # 2026-01-01
DEVICE = "dock-07"
SENDER = Sender(DEVICE, "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", 1)
ABOUT = About("person-detector", "1.0.0", "ab" * 32, "litert 2.3.0", "cd" * 32)
#: PUBLISH: type 1, length 2, topic's length 2, number 2, properties 1. PUBACK: 4.
FIXED, PUBACK, PING = 8, 4, 4
KEEPALIVE_S = 30.0
RULES = ("entered", "crowd", "person-in-gate")


def on_the_wire(topic: str, body: dict[str, object], seq: int | None, time: float) -> int:
    message = Message(seq, f"{seq or 0:016x}/open", topic, 1, seq is None, time, body, boot=7)
    payload = encode(message, SENDER, time)
    return FIXED + len(f"edge/v1/{DEVICE}/{topic}") + len(payload) + PUBACK


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
        account = WindowAccount(ledger, 0.0, watched, heat)
        body = document(window, opened + WINDOW_S, account)
        sizes.append(on_the_wire("summary", body, number + 1, opened + WINDOW_S))
    return sizes


def states(events: int) -> list[int]:
    """Somebody comes, somebody goes."""
    sizes = []
    for number in range(2 * events):
        here = {"person": 1} if number % 2 == 0 else {}
        body = {"present": {"people": {"labels": here, "zones": {"gate": here, "yard": {}}}}}
        sizes.append(on_the_wire("state", body, None, START + number * DAY_S / (2 * events)))
    return sizes


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--alerts", type=int, default=20)
    options.add_argument("--others", type=int, default=1200)
    options.add_argument("--raw-kbit", type=float, default=2000.0, help="a second, of the camera")
    given = options.parse_args()
    parts = {
        "alert": alerts(given.alerts),
        "summary": summaries(given.alerts + given.others),
        "ping": [PING] * int(DAY_S / KEEPALIVE_S),
    }
    print(f"a day with {given.alerts} alerts and {given.others} other events")
    for name, sizes in parts.items():
        print(f"{name:9} {len(sizes):6} x {max(sizes):4} bytes at most {sum(sizes) / 1000:8.1f} kB")
    total = sum(map(sum, parts.values())) / 1000
    raw = given.raw_kbit * DAY_S / 8
    print(f"together: {total:.1f} kB, promised: at most {LIMIT_KB:.0f}")
    print(f"the raw stream: {raw / 1e6:.1f} GB, {raw / total:.0f} times as much")
    beside = states(given.alerts + given.others)
    print(f"state     {len(beside):6} x {max(beside):4} bytes at most {sum(beside) / 1000:8.1f} kB")
    return 0 if total <= LIMIT_KB else 1


if __name__ == "__main__":
    sys.exit(main())
