"""The law: delivered, lost, superseded, pending and missing are everything, in whatever order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from desk import NOW, Device, only, partition
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import NoRoom
from edge_agent.policy.stick import Waiting
from edge_fleet.archive import Archive, open_archive
from edge_fleet.message import from_topic
from edge_fleet.stick import collect

#: Syncing is not what is judged here; test_power_cut.py and test_stick.py do that.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("drop"), st.sets(st.integers(1, 30), max_size=4)),
        st.tuples(st.just("erase"), st.sets(st.integers(1, 30), max_size=3)),
        # By MQTT: how many go, and which of those the broker loses after its PUBACK.
        st.tuples(
            st.just("mqtt"), st.tuples(st.integers(1, 6), st.sets(st.integers(0, 5), max_size=3))
        ),
        st.tuples(st.just("export"), st.one_of(st.none(), st.integers(500, 3000))),
        st.tuples(st.just("collect"), st.none()),
        st.tuples(st.just("ack"), st.none()),
        st.tuples(st.just("restart device"), st.none()),
        st.tuples(st.just("restart desk"), st.none()),
        st.tuples(st.just("repeat"), st.none()),
    ),
    max_size=25,
)


class World:
    """Device, broker, stick and desk, and what is truly so."""

    def __init__(self, folder: Path) -> None:
        self.device = Device(folder / "state")
        self.media = folder / "stick"
        self.media.mkdir()
        self.archive = open_archive(folder / "desk.db")
        self.sent: list[tuple[str, bytes]] = []
        self.gone: set[int] = set()  # what the broker lost and no stick brought

    def do(self, step: str, what: Any) -> None:
        steps: dict[str, Callable[[Any], None]] = {
            "write": self.device.write,
            "drop": self.device.drop,
            "erase": self.device.erase,
            "mqtt": self.mqtt,
            "export": self.export,
            "collect": lambda _: self.collect(),
            "ack": lambda _: self.ack(),
            "restart device": lambda _: self.device.restart(),
            "restart desk": lambda _: self.restart_desk(),
            "repeat": lambda _: self.arrive(self.sent),
        }
        steps[step](what)

    def mqtt(self, what: tuple[int, set[int]]) -> None:
        limit, lost = what
        for place, packet in enumerate(self.device.send(limit)):
            if place not in lost:
                self.arrive([packet])
                self.sent.append(packet)

    def arrive(self, packets: list[tuple[str, bytes]]) -> None:
        self.archive.keep([from_topic(*packet) for packet in packets], "mqtt", NOW)

    def export(self, limit: int | None) -> None:
        try:
            self.device.export(self.media, limit)
        except NoRoom:
            assert limit is not None

    def collect(self) -> None:
        if list(self.media.iterdir()):
            for each in collect(self.media, self.archive, NOW):
                assert each.faults == ()

    def ack(self) -> None:
        if list(self.media.rglob("receipt.json")):
            self.device.ack(self.media)

    def restart_desk(self) -> None:
        path = self.archive._path
        self.archive.close()
        self.archive = open_archive(path)

    def told(self) -> None:
        """As `health` does at every connect."""
        depth = self.device.store.outbox.depth()
        waiting = Waiting(depth.depth, depth.oldest_seq, depth.newest_seq, depth.last_seq)
        store = self.device.store.identity.store
        self.archive.waits(self.device.name, store, waiting, "2030", NOW)

    def close(self) -> None:
        self.device.close()
        self.archive.close()


def received(archive: Archive) -> set[int]:
    rows = archive._connection.execute("SELECT seq FROM messages UNION SELECT seq FROM repeats")
    return {seq for (seq,) in rows}


@settings(max_examples=60)
@given(STEPS)
def test_delivered_lost_pending_and_missing_are_everything(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        world = World(Path(folder))
        try:
            world.device.write(1)
            for step, what in steps:
                world.do(step, what)
            world.told()
            found = only(world.archive)
            sets = partition(found)
            assert found.highest == world.device.last_seq
            assert sets["delivered"] == received(world.archive)
            # Whatever the device still holds is told as such, and nothing of it as missing.
            assert world.device.pending - sets["delivered"] <= sets["pending"] | sets["lost"]
            missing = len(sets["missing"]) + found.hidden
            # A stick brings the rest; what is missing then was lost by the broker, and by name.
            world.export(None)
            world.collect()
            world.ack()
            world.told()
            after = only(world.archive)
            sets = partition(after)
            assert world.device.pending == set()
            assert not sets["pending"]
            assert after.hidden == 0
            assert len(sets["missing"]) <= missing
        finally:
            world.close()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=1, max_size=12))
def test_what_the_broker_lost_is_named_exactly(rounds: list[tuple[bool, int]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        world = World(Path(folder))
        lost: set[int] = set()
        try:
            for loses, count in rounds:
                before = world.device.last_seq
                world.device.write(count)
                world.mqtt((count, set(range(count)) if loses else set()))
                lost |= set(range(before + 1, before + count + 1)) if loses else set()
            world.told()
            assert partition(only(world.archive))["missing"] == lost
        finally:
            world.close()
