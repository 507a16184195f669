"""A store with a million events: what commands and a start of the service take on it.

Claims: `events list`, `why EVENT`, `status` answer within 100 ms, a start takes at most 1 s. Each
command is a process of its own, several times in turn; what `python -c "import sqlite3, click"`
takes stands beside them as the price of starting Python on this machine, in CPU time too. The claim
is about the answer: the time within the process from its own imports on is measured too.

    python benchmarks/store_million.py [--events 1000000] [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from figures import tell
from store_writes import ABOUT, WHY, draft, event

from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.retention import Limits, Retention
from edge_agent.store.rows import Batch, EventFilter, FramesRow, Judged, Opened
from edge_agent.types import Event, Priority

#: One event in so many is an alert, with its two messages, as the contract's day has it.
ALERTS = 50
#: Events between two rows of the ledger.
LEDGER = 10
TOGETHER = 2000
BARE = "a bare python with sqlite3 and click"
#: Runs one command in a process that has done its imports, and prints the milliseconds it took.
INSIDE = """
import contextlib, io, sys, time
from edge_agent.cli import obey
def once():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        began = time.perf_counter()
        code = obey(sys.argv[1:])
    assert code == 0, code
    return (time.perf_counter() - began) * 1000
once()
print(min(once() for _ in range(5)))
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        state = Path(folder)
        began = time.perf_counter()
        with open_store(state) as store:
            store.start()
            fill(store, given.events)
        size = (state / "edge.db").stat().st_size / 1e6
        spent = time.perf_counter() - began
        print(f"{given.events:,} events written in {spent:.0f} s, {size:.0f} MB")
        answers(state, given.events, given.rounds)
        starts(state, given.rounds)
        going_on(state, given.events)
        retention(state, given.events)


def answers(state: Path, events: int, rounds: int) -> None:
    """Whole processes in turn with `version`, and the answer alone."""
    with open_reader(state) as reader:
        some = reader.events(EventFilter(until=event(events // 2).opened, limit=1))[0].event.id
    ours = ["-m", "edge_agent"]
    commands = {
        BARE: ["-c", "import sqlite3, click"],
        "events list": [*ours, "events", "list", "--state", str(state)],
        "why EVENT": [*ours, "why", some, "--state", str(state)],
        "status": [*ours, "status", "--state", str(state)],
    }
    whole: dict[str, list[float]] = {name: [] for name in commands}
    used: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            wall_ms, cpu_ms = process_ms(command)
            whole[name].append(wall_ms)
            used[name].append(cpu_ms)
    for name, command in commands.items():
        # The machine is shared: the least is what the command takes.
        wall_ms, cpu_ms = min(whole[name]), min(used[name])
        part = f"{cpu_ms / min(used[BARE]):.2f} of {BARE}"
        print(f"{name}: {wall_ms:.0f} ms as a whole process, {cpu_ms:.0f} CPU-ms, {part}")
        if name == BARE:
            continue
        done = subprocess.run(
            [sys.executable, "-c", INSIDE, *command[2:]], check=True, capture_output=True, text=True
        )
        tell(f"{name}, {events:,} events, the answer", float(done.stdout), 100, "ms")
        beyond = cpu_ms - min(used[BARE])
        tell(f"{name}, {events:,} events, process beyond {BARE}", beyond, 100, "CPU-ms")


def process_ms(command: list[str]) -> tuple[float, float]:
    """Wall and CPU milliseconds of one Python process."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(code)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return (time.perf_counter() - began) * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def starts(state: Path, rounds: int) -> None:
    """What the service does with the store before its first frame, after a kill and with an event
    open: lock, count the boot, declare what is unaccounted, close what was left open."""
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        store = open_store(state)
        store.start()
        store.interrupt_open(lambda stored: None)
        store.declare_unaccounted(3e9, 60.0)
        took.append(time.perf_counter() - began)
        store.record(Batch(opened=(Opened(other(-1 - number), ABOUT),)))
        store.close()
    tell("start on the full store", statistics.median(took), 1.0, "s")


def going_on(state: Path, events: int) -> None:
    """An event opened and closed in the full store, beside the same in a new one."""
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        open_store(Path(folder)) as young,
        open_store(state) as full,
    ):
        young.start(), full.start()
        took: dict[str, list[float]] = {"young": [], "full": []}
        for number in range(events + 1, events + 301):
            for name, store in (("young", young), ("full", full)):
                began = time.perf_counter()
                alert(store, number)
                took[name].append(time.perf_counter() - began)
    ratio = statistics.median(took["full"]) / statistics.median(took["young"])
    tell("an event in the full store / in a young one", ratio, 1.5)


def retention(state: Path, events: int) -> None:
    """The quota takes a tenth of the full store while events are written beside it, as the agent's
    `keeper` does it, against the same writes with nothing beside them."""
    with open_store(state) as store:
        store.start()
        now = event(events).opened + 3600
        keeper = Retention(store.database, store.outbox, store.identity)
        used = keeper.usage().used
        roomy, tight = (Limits(int(share * used), 1e9, 1e9, 0) for share in (2.0, 0.9))
        keeper.look(roomy, now)  # counts the pictures
        numbers = count(2 * events)
        with writing(store, numbers) as alone:
            time.sleep(3.0)
        before, began = keeper.evicted, time.perf_counter()
        with writing(store, numbers) as beside:
            while keeper.look(tight, now):
                time.sleep(0.01)
        spent = time.perf_counter() - began
        gone = (used - keeper.usage().used) / 1e6
        print(f"{gone:.0f} MB evicted in {spent:.1f} s, {keeper.evicted - before} transactions")
        print(f"an event written, the slowest tenth, nothing beside it: {tenth(alone):.0f} ms")
        tell("an event written beside an eviction, the slowest tenth", tenth(beside), 100, "ms")
        began = time.perf_counter()
        for _ in range(100):
            keeper.look(roomy, now)
        idle = (time.perf_counter() - began) * 10
        tell("a look of retention at which nothing is due", idle, 10, "ms")


@contextmanager
def writing(store: Store, numbers: Iterator[int]) -> Iterator[list[float]]:
    """Events from another thread; the seconds that each took."""
    took: list[float] = []
    over = threading.Event()

    def write() -> None:
        while not over.wait(0.02):
            began = time.perf_counter()
            alert(store, next(numbers))
            took.append(time.perf_counter() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield took
    finally:
        over.set()
        writer.join()


def tenth(values: list[float]) -> float:
    """Nine of ten are faster; milliseconds."""
    return 1000 * sorted(values)[int(0.9 * (len(values) - 1))]


def alert(store: Store, number: int) -> None:
    opened = other(number)
    store.record(Batch(opened=(Opened(opened, ABOUT),)))
    store.record(Batch(closed=(shut(opened),)))


def fill(store: Store, events: int) -> None:
    """As a life of the service would leave it: closed events, sent messages, ledger, near misses.

    Written in large transactions without waiting for the disk: only the content matters here.
    """
    with store.database.reading() as connection:
        connection.execute("PRAGMA synchronous = OFF")
    for first in range(0, events, TOGETHER):
        numbers = range(first, min(first + TOGETHER, events))
        made = [event(number) if number % ALERTS == 0 else other(number) for number in numbers]
        alerts = [each for each in made if each.priority is Priority.ALERT]
        frames = tuple(ledger(each) for each in made[::LEDGER])
        misses = tuple(
            Judged("miss", "people", each.opened, each.frame, WHY[:3], "gate", 7, "person")
            for each in made[::LEDGER]
        )
        opened = Batch(
            opened=tuple(Opened(each, ABOUT) for each in made),
            messages=tuple(draft(each, "open") for each in alerts),
        )
        closed = Batch(
            closed=tuple(shut(each) for each in made),
            messages=tuple(draft(shut(each), "close") for each in alerts),
            frames=frames,
            judged=misses,
        )
        for batch in (opened, closed):
            store.outbox.acknowledge(store.record(batch))
    store.outbox.settle()
    with store.database.reading() as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()


def other(number: int) -> Event:
    return replace(event(number), priority=Priority.NOTICE)


def shut(opened: Event) -> Event:
    return replace(
        opened, seen=opened.opened + 9, closed=opened.opened + 10, close_reason="cleared"
    )


def ledger(each: Event) -> FramesRow:
    return FramesRow("people", each.opened, each.opened + 300, 12, {"motion": 1400, "rate": 88})


if __name__ == "__main__":
    main()
