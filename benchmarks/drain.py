"""A long backlog drains: what was urgent comes first, a live alert at once, memory stays flat.

    python benchmarks/drain.py [--rows 1000000] [--paced-s 20] [--json]

A real store with that many unsent summaries and a few alerts among them, a real mosquitto, the
publisher and the scribe as `edge-agent run` has them. First at `drain.rate_msgs` 50 for
`--paced-s`, then without a limit to the last row, live alerts being recorded all the time; before
and after it paho's bare loop with 20 in flight, to the same subscriber. A live alert's time goes
from its commit to a subscriber of alerts, in a process of its own; beside it is told what the
commit took, and when the alert came to the subscriber of everything, whose queue at the broker the
backlog fills. Promised: every waiting alert before the first summary, a live alert within 1 s, at
most 20 MB more memory, a quarter of the bare loop at least.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from uplink import BODY, IDENTITY, bare, mosquitto

from edge_agent.host.clock import Clock
from edge_agent.policy.documents import dump
from edge_agent.service.scribe import Scribe
from edge_agent.store import outbox
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Draft
from edge_agent.uplink.link import Broker
from edge_agent.uplink.outbox import Pace
from edge_agent.uplink.publisher import Publisher

RATE = 50.0
#: Of so many rows one is an alert.
ALERT_EVERY = 1000
LIVE_EVERY_S = 0.5
#: What is promised.
ALERT_S, GROWTH_MB, OF_BARE = 1.0, 20.0, 0.25
#: The live alerts by their time, seconds: up to so much each.
BINS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BARE = 10_000
SUMMARY = dump({"pipeline": "people", "from": "2026-01-01T00:00:00Z", "filling": "x" * 350})
MB = 1024 * 1024


class Seen:
    """A subscriber that notes when what arrives; nothing is kept but counts and live alerts."""

    def __init__(self, port: int) -> None:
        self.summaries = self.alerts = self.alerts_behind = 0
        self.live: dict[str, float] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._message
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("edge/v1/bench/#", qos=0)
        self._client.loop_start()
        if not subscribed.wait(10):
            raise SystemExit("the subscriber was not let in")

    def _message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/summary"):
            self.summaries += 1
        elif message.topic.endswith("/alert"):
            name = json.loads(message.payload)["id"]
            if name.startswith("live"):
                self.live[name] = time.monotonic()
            else:
                self.alerts += 1
                self.alerts_behind += self.summaries > 0

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Ear:
    """A process that subscribes to alerts alone: in its queue no backlog stands before one.

    The clock is the machine's monotonic one, the same in both processes.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self._heard = folder / "heard"
        command = [sys.executable, __file__, "--listen", str(port)]
        with self._heard.open("w") as file:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file)
        for _ in range(1000):
            if self._heard.stat().st_size:
                return
            time.sleep(0.01)
        raise SystemExit("the subscriber of alerts was not let in")

    def close(self) -> dict[str, float]:
        """When which live alert came."""
        self._process.communicate()
        lines = [line.split() for line in self._heard.read_text().splitlines()[1:]]
        return {name: float(at) for name, at in lines}


def listen(port: int) -> None:
    """What an `Ear` runs, until its input ends."""

    def heard(client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        at, name = time.monotonic(), json.loads(message.payload)["id"]
        if name.startswith("live"):
            print(name, at, flush=True)

    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = heard
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.subscribe("edge/v1/bench/alert", qos=0)
    client.loop_start()
    sys.stdin.read()
    client.disconnect()
    client.loop_stop()


def fill(store: Store, rows: int) -> int:
    """Write the backlog; how many of it are alerts."""
    alert = dump(BODY)
    for first in range(0, rows, 10_000):
        with store.database.transaction() as connection:
            for number in range(first, min(first + 10_000, rows)):
                urgent = number % ALERT_EVERY == ALERT_EVERY - 1
                topic, body = ("alert", alert) if urgent else ("summary", SUMMARY)
                draft = Draft(f"old/{number}", topic, time.time(), body, priority=int(not urgent))
                outbox.insert(connection, draft, IDENTITY.boot)
    return rows // ALERT_EVERY


class Run:
    """One publisher on the store, with live alerts and the memory watched."""

    def __init__(self, store: Store, port: int, rate: float | None) -> None:
        broker = Broker("127.0.0.1", port, "bench", pace=Pace(rate_msgs=rate))
        self._store = store
        self._publisher = Publisher(broker, IDENTITY, store.outbox, Clock())
        self._stop = threading.Event()
        scribe = Scribe(store)
        self._threads = [
            threading.Thread(target=work, args=(self._stop,))
            for work in (self._publisher.run, scribe.run)
        ]
        for thread in self._threads:
            thread.start()
        self.recorded: dict[str, tuple[float, float]] = {}  # handed over, and committed
        while not self._publisher.facts().connected:
            time.sleep(0.001)

    def go_on(self, seconds: float, tag: str, first_mb: float) -> float:
        """Until the time is over or nothing waits; the most memory meanwhile, MB above `first`."""
        until, alert, most = time.monotonic() + seconds, dump(BODY), 0.0
        while time.monotonic() < until and self._store.outbox.depth().depth:
            name = f"live/{tag}/{len(self.recorded)}"
            began = time.monotonic()
            with self._store.database.transaction() as connection:
                draft = Draft(name, "alert", time.time(), alert, priority=0)
                outbox.insert(connection, draft, IDENTITY.boot)
            self.recorded[name] = began, time.monotonic()
            self._publisher.notify()
            time.sleep(LIVE_EVERY_S)
            most = max(most, rss_mb() - first_mb)
        return most

    def hand_over(self) -> None:
        self._publisher.hand_over(5.0)
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def measure(rows: int, paced_s: float) -> dict[str, Any]:
    with (
        mosquitto() as port,
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder) / "state") as store,
    ):
        store.start()
        alerts = fill(store, rows)
        seen, ear, first_mb = Seen(port), Ear(port, Path(folder)), rss_mb()
        paced = Run(store, port, RATE)
        grown = paced.go_on(paced_s, "paced", first_mb)
        in_time = seen.summaries
        paced.stop()
        bares = [BARE / bare(port, BARE, "edge/v1/bench/bare")]
        free, began = Run(store, port, None), time.monotonic()
        waiting = store.outbox.depth().depth
        grown = max(grown, free.go_on(3600.0, "free", first_mb))
        took = time.monotonic() - began
        free.hand_over()
        bares.append(BARE / bare(port, BARE, "edge/v1/bench/bare"))
        recorded = paced.recorded | free.recorded
        time.sleep(0.5)  # the last answers
        came = ear.close()
        waits = [at - recorded[name][1] for name, at in came.items()]
        commits = [committed - began for began, committed in recorded.values()]
        behind = [at - recorded[name][1] for name, at in seen.live.items()]
        missing = len(recorded) - min(len(waits), len(behind))
        seen.close()
    return {
        "rows": rows,
        "alerts": alerts,
        "alerts_behind_a_summary": seen.alerts_behind,
        "paced_per_s": round(in_time / paced_s, 1),
        "free_per_s": round(waiting / took),
        "bare_per_s": round(statistics.mean(bares)),
        "of_bare": round(waiting / took / statistics.mean(bares), 2),
        "live_alerts": len(recorded),
        "live_missing": missing,
        "live_median_s": round(statistics.median(waits), 3),
        "live_by_s": by_time(waits),
        "commit_by_s": by_time(commits),
        "behind_the_backlog_by_s": by_time(behind),
        "live_over_1_s": sum(wait > ALERT_S for wait in waits),
        "live_worst_s": round(max(waits), 3),
        "rss_growth_mb": round(grown, 1),
        "left": 0 if seen.summaries + seen.alerts >= rows else rows - seen.summaries - seen.alerts,
    }


def by_time(waits: list[float]) -> dict[str, int]:
    """How many took up to each of `BINS`, and more."""
    found, ends = dict.fromkeys([*(f"{each:g}" for each in BINS), "more"], 0), list(BINS)
    for wait in waits:
        found[next((f"{each:g}" for each in ends if wait <= each), "more")] += 1
    return found


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / MB


def is_kept(found: dict[str, Any]) -> bool:
    return bool(
        not found["alerts_behind_a_summary"]
        and not found["live_missing"]
        and not found["left"]
        and found["live_worst_s"] <= ALERT_S
        and found["rss_growth_mb"] <= GROWTH_MB
        and found["of_bare"] >= OF_BARE
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--paced-s", type=float, default=20.0)
    options.add_argument("--json", action="store_true", help="one line for scripts")
    options.add_argument("--listen", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.listen:
        listen(given.listen)
        return 0
    found = measure(given.rows, given.paced_s)
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            if isinstance(value, dict):
                value = "  ".join(f"{end}: {count}" for end, count in value.items())
            print(f"{name.replace('_', ' '):26} {value:>10}")
        print("kept" if is_kept(found) else "NOT KEPT")
    return 0 if is_kept(found) else 1


if __name__ == "__main__":
    sys.exit(main())
