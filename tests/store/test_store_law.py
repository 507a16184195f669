"""The law of the store: after any history events and outbox agree, and seq has no gap.

A sequence of openings, closings, acknowledgements, flushes, re-openings and crashes is played on
a real store and on a few Python lists; both must say the same.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import EventFilter
from edge_agent.types import Event

actions = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "close", "acknowledge", "flush", "reopen", "crash"]),
        st.integers(0, 99),
    ),
    max_size=30,
)


@dataclass
class Model:
    """What must be in the store."""

    folder: Path
    device: SimpleNamespace
    boot: int = 1
    open: dict[str, Event] = field(default_factory=dict)
    closed: dict[str, Event] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)  # the id of seq 1, 2, …
    waiting: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)

    def play(self, store: Store, action: str, number: int) -> Store:
        if action == "open":
            event = self.device.event(len(self.open) + len(self.closed))
            self.told(store.record(self.device.opening(event)), [f"{event.id}/open"])
            self.open[event.id] = event
            self.settled()
        elif action == "close" and self.open:
            event = self.open.pop(sorted(self.open)[number % len(self.open)])
            self.closed[event.id] = self.device.closed(event)
            batch = self.device.closing(self.closed[event.id])
            self.told(store.record(batch), [f"{event.id}/close"])
            self.settled()
        elif action == "acknowledge":
            seq = number % (len(self.messages) + 2)  # now and then one that does not exist
            store.outbox.acknowledge([seq])
            self.waiting |= {seq} & set(range(1, len(self.messages) + 1)) - self.sent
        elif action == "flush":
            store.record(self.device.flush(number))
            self.settled()
        elif action in ("reopen", "crash"):
            return self.restart(store, action == "crash")
        return store

    def restart(self, store: Store, crash: bool) -> Store:
        """A crash is the folder as it stands on the disk at this instant, opened elsewhere."""
        folder = self.folder
        if crash:
            self.folder = folder.with_name(f"boot-{self.boot + 1}")
            shutil.copytree(folder, self.folder)
            (self.folder / "edge.db-shm").unlink(missing_ok=True)
            self.waiting.clear()
        else:
            self.settled()
        store.close()
        store = open_store(self.folder)
        self.boot += 1
        assert store.start().boot == self.boot
        told = store.interrupt_open(lambda stored: self.device.message(stored.event))
        assert [stored.event.id for stored in told] == list(self.open)
        self.messages += [f"{id_}/close" for id_ in self.open]
        self.closed |= {stored.event.id: stored.event for stored in told}
        if told:
            self.settled()
        self.open.clear()
        return store

    def told(self, seqs: tuple[int, ...], ids: list[str]) -> None:
        assert list(seqs) == [len(self.messages) + 1 + step for step in range(len(ids))]
        self.messages += ids

    def settled(self) -> None:
        self.sent |= self.waiting
        self.waiting.clear()

    def check(self, store: Store) -> None:
        due = [seq for seq in range(1, len(self.messages) + 1) if seq not in self.sent]
        offered = [seq for seq in due if seq not in self.waiting]
        pending = store.outbox.pending(limit=1000)
        assert [message.seq for message in pending] == offered
        assert all(self.messages[(message.seq or 0) - 1] == message.id for message in pending)
        assert store.outbox.depth().depth == len(offered)
        with open_reader(self.folder) as reader:
            events = {
                stored.event.id: stored.event for stored in reader.events(EventFilter(limit=None))
            }
            assert events == self.open | self.closed
            assert {stored.event.id for stored in reader.open_events()} == set(self.open)
            depth = reader.last_status().outbox
            assert (depth.depth, depth.last_seq) == (len(due), len(self.messages))


@given(actions=actions)
@settings(max_examples=60, deadline=None)
def test_events_outbox_and_seq_agree_after_any_history(
    tmp_path_factory: pytest.TempPathFactory,
    device: SimpleNamespace,
    actions: list[tuple[str, int]],
) -> None:
    model = Model(tmp_path_factory.mktemp("law") / "boot-1", device)
    store = open_store(model.folder)
    try:
        store.start()
        for action, number in actions:
            store = model.play(store, action, number)
        model.check(store)
    finally:
        store.close()
