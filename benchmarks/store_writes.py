"""What an alert costs the disk, and why the store's settings are what they are.

    python benchmarks/store_writes.py [--alerts 200] [--old 20000]

An alert is what it is in service: opened with its message, closed with its message, both
acknowledged. Bytes are the process's own, from /proc/self/io, the checkpoints included: `wchar` is
what was handed to write(), `disk` (write_bytes) whole 4 kB blocks as they went to the disk.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from figures import tell

from edge_agent.policy.coverage import Attention, Cause, State, Stretch
from edge_agent.policy.documents import About, dump, event_document
from edge_agent.store.db import TUNING, Tuning
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import (
    Batch,
    CoverageRow,
    Draft,
    EventFilter,
    FramesRow,
    Judged,
    Opened,
    Summary,
)
from edge_agent.types import Decision, Event, Priority

ABOUT = About("person-detector", "1.2.0", "ab" * 32, "litert 2.3.0", "cd" * 32)
WHY = (
    Decision("gate", "infer", {"changed": 0.0132, "threshold": 0.004}),
    Decision("score", "pass", {"score": 0.7312, "needed": 0.5}),
    Decision("area", "pass", {"area": 0.0231, "min": 0.001}),
    Decision("zone", "inside", {"x": 0.412, "y": 0.733}),
    Decision("confirm", "pass", {"hits": 3, "needed": 3, "of": 5}),
    Decision("dwell", "pass", {"held_s": 2.1, "needed_s": 2.0}),
    Decision("cooldown", "pass", {"since_s": None, "needed_s": 60.0}),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--alerts", type=int, default=200)
    options.add_argument("--old", type=int, default=20_000, help="alerts in the old store")
    given = options.parse_args()
    wear(given.alerts)
    service(given.alerts)
    idle()
    old(given.alerts, given.old)


def wear(alerts: int) -> None:
    print(f"kB per alert, {alerts} alerts, new store       wchar   disk   ms")
    for tuning in (Tuning(4096, 500), Tuning(2048, 1000), Tuning(1024, 2000), TUNING):
        with new_store(tuning) as (store, state):
            measured = Meter(state)
            for number in range(alerts):
                alert(store, number)
            told, disk = measured(store, alerts)
            print(f"  pages of {tuning.page_size:4}, {told}")
            if tuning is TUNING:
                tell("written per alert, young store", disk, 25, "kB")


def service(alerts: int) -> None:
    """Each acknowledgement written at once; and alerts half a minute apart, between which the
    kernel writes back the log's index (edge.db-shm, a shared mapping that nobody syncs)."""
    print("the same, default settings")
    for name, between in (("acknowledged at once", at_once), ("far apart", far_apart)):
        with new_store() as (store, state):
            measured = Meter(state)
            for number in range(alerts):
                alert(store, number, partial(between, store, state))
            print(f"  {name:20}{measured(store, alerts)[0]}")


def idle() -> None:
    """A minute without an event, as the housekeeping of an agent with one camera writes it (seen in
    a running one): the ledger and the coverage of two rules; every fifth minute a quiet look of
    each rule, two skips, a summary and what drift is measured against. In between the kernel writes
    back the log's index, and the entries of the files that were written to."""
    print("kB per minute without an event")
    for name, deferred in (("each committed", False), ("an idle day", True)):
        with new_store() as (store, state):
            measured = Meter(state)
            for minute in range(1440):
                seqs: tuple[int, ...] = ()
                with store.database.deferred() if deferred else nullcontext():
                    if minute % 5 == 0:
                        seqs = store.record(summary(minute))
                        store.keep_baselines(f"{minute:204}")
                    store.record(flush(minute))
                store.outbox.acknowledge(seqs)
                far_apart(store, state)
            told, disk = measured(store, 1440)
            print(f"  {name:20}{told}")
            if deferred:
                tell("written a day idle, one camera", disk * 1440 / 1000, 10, "MB")


def summary(minute: int) -> Batch:
    began, body = 60.0 * minute, "x" * 470
    return Batch(
        summaries=(Summary("people", began - 300, began, body),),
        messages=(Draft(f"summary/d1e2f3a4/1/{minute}/0", "summary", began, body),),
    )


def flush(minute: int) -> Batch:
    began, ended = 60.0 * minute, 60.0 * minute + 60
    watching = Attention(State.WATCHING, Cause.NONE)
    misses = tuple(
        Judged("miss", "people", began + 7, minute, WHY[:4], rule, None, None)
        for rule in ("person-seen", "in-gate")
    )
    skips = tuple(Judged("skip", "people", began + each, minute, WHY[:2]) for each in (1, 31))
    return Batch(
        frames=(FramesRow("people", began, ended, 2, {"motion": 298}),),
        judged=misses + skips if minute % 5 == 0 else (),
        coverage=tuple(
            CoverageRow("people", rule, Stretch.of(began, ended, watching))
            for rule in ("person-seen", "in-gate")
        ),
    )


def old(alerts: int, events: int) -> None:
    """A store with years behind it: the index over random ids is large and scattered."""
    with new_store() as (store, state):
        for number in range(events):
            alert(store, number)
        alerts = max(alerts, 1000)  # several checkpoints, as in a long life
        measured = Meter(state)
        for number in range(events, events + alerts):
            alert(store, number)
        print("the same, default settings")
        print(f"  {events:,} alerts old   {measured(store, alerts)[0]}")
        answers(state)


def answers(state: Path) -> None:
    with open_reader(state) as reader:
        some = reader.events(EventFilter(limit=1))[0].event
        questions: dict[str, Callable[[], object]] = {
            "list, 20 newest": reader.events,
            "list, rule without events": lambda: reader.events(EventFilter(rule="none")),
            "one by its id": lambda: reader.event(some.id[:12]),
            "why at a time": lambda: reader.near("people", some.opened),
            "status": reader.last_status,
        }
        print("ms to answer from it")
        for name, ask in questions.items():
            began = time.perf_counter()
            ask()
            print(f"  {name:28}{(time.perf_counter() - began) * 1000:8.2f}")


class Meter:
    """Bytes and time since it was made, per alert, with everything brought into the file."""

    def __init__(self, state: Path) -> None:
        self.state, self.began, self.start = state, written(), time.perf_counter()

    def __call__(self, store: Store, number: int) -> tuple[str, float]:
        """In words, and the kB that went to the disk."""
        store.database.commit()
        took = (time.perf_counter() - self.start) / number * 1000
        store.outbox.settle()
        checkpoint(store)
        wchar, disk = (
            (now - then) / number / 1000 for now, then in zip(written(), self.began, strict=True)
        )
        return f"{wchar:15.1f}{disk:7.1f}{took:7.2f}", disk


def alert(store: Store, number: int, between: Callable[[], None] = lambda: None) -> None:
    opened = event(number)
    closed = replace(
        opened, seen=opened.opened + 9, closed=opened.opened + 10, close_reason="cleared"
    )
    first = store.record(Batch(opened=(Opened(opened, ABOUT),), messages=(draft(opened, "open"),)))
    store.outbox.acknowledge(first)
    between()
    last = store.record(Batch(closed=(closed,), messages=(draft(closed, "close"),)))
    store.outbox.acknowledge(last)
    between()


def event(number: int) -> Event:
    opened = 1.7e9 + 30 * number
    return Event(
        id=hashlib.blake2b(str(number).encode(), digest_size=8).hexdigest(),
        pipeline="people",
        source="dock",
        rule="person-in-gate",
        priority=Priority.ALERT,
        label="person",
        zone="gate",
        text="a person is in the gate",
        opened=opened,
        seen=opened,
        closed=None,
        close_reason=None,
        score_max=0.8123,
        score_median=0.7321,
        track=number,
        count=1,
        box=(0.1234, 0.2345, 0.3456, 0.4567),
        frame=50 * number,
        decisions=WHY,
        advice="close the gate",
    )


def draft(event: Event, phase: str) -> Draft:
    document = event_document(event, ABOUT) | {"phase": phase}
    del document["decisions"]
    time_ = event.opened if event.closed is None else event.closed
    return Draft(f"{event.id}/{phase}", "alert", time_, dump(document), priority=0)


def at_once(store: Store, state: Path) -> None:
    store.outbox.settle()


def far_apart(store: Store, state: Path) -> None:
    for ending in ("-shm", "-redo"):
        with suppress(FileNotFoundError):
            file = os.open(state / f"edge.db{ending}", os.O_RDONLY)
            os.fsync(file)
            os.close(file)


@contextmanager
def new_store(tuning: Tuning = TUNING) -> Iterator[tuple[Store, Path]]:
    with tempfile.TemporaryDirectory(dir=".") as folder, open_store(Path(folder), tuning) as store:
        store.start()
        yield store, Path(folder)


def checkpoint(store: Store) -> None:
    with store.database.reading() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def written() -> tuple[int, int]:
    lines = Path("/proc/self/io").read_text().splitlines()
    counts = {name: int(number) for name, number in (line.split(": ") for line in lines)}
    return counts["wchar"], counts["write_bytes"]


if __name__ == "__main__":
    main()
