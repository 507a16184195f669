"""A source that stalls or vanishes is opened again for ever; the pipelines learn how long."""

from __future__ import annotations

import threading
from itertools import count
from time import monotonic

import numpy as np
import pytest
from broker import eventually

from edge_agent.errors import SourceLost
from edge_agent.service.capture import Capture
from edge_agent.service.ledger import Account
from edge_agent.service.slot import NewestFrame
from edge_agent.types import Broken, Frame, SourceInfo

PATIENCE_S = 10.0


class Flaky:
    """A live source that fails to open once, delivers two frames, is lost, and comes back."""

    name = "cam"
    live = True

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.reads = 0
        self.back = threading.Event()

    def open(self) -> SourceInfo:
        self.opened += 1
        if self.opened == 1:
            raise SourceLost("nobody answers")
        return SourceInfo(2, 2, None, None)

    def read(self) -> Frame | Broken | None:
        self.reads += 1
        if self.reads == 3:
            raise SourceLost("nothing for 10 s")
        if self.reads > 4:
            self.back.set()
            return None
        return Frame("cam", self.reads, 0.0, np.zeros((2, 2, 3), np.uint8))

    def close(self) -> None:
        self.closed += 1


def test_a_lost_source_is_closed_and_opened_again() -> None:
    source, account = Flaky(), Account()
    slot = NewestFrame(account)
    capture = Capture(source, (slot,), monotonic, count(5))
    thread = threading.Thread(target=capture.run, args=(threading.Event(),), daemon=True)
    thread.start()
    assert source.back.wait(PATIENCE_S)
    thread.join(PATIENCE_S)
    assert source.opened == 3
    assert source.closed == 3
    assert capture.facts.state == "ended"
    assert capture.facts.losses == 2
    assert account.ledger().captured == 3
    assert slot.away() > 0.0
    newest = slot.take(0.0)
    assert newest is not None
    assert newest.index == 7  # numbers go on over a loss: event ids are made of them


class Waiting:
    """A live source: one frame, taken 5 s before it is handed over, then nothing until closed."""

    name = "cam"
    live = True

    def __init__(self) -> None:
        self.waits = threading.Event()
        self.closed = threading.Event()

    def open(self) -> SourceInfo:
        return SourceInfo(2, 2, None, None)

    def read(self) -> Frame | Broken | None:
        if not self.waits.is_set():
            self.waits.set()
            return Frame("cam", 0, monotonic() - 5.0, np.zeros((2, 2, 3), np.uint8))
        self.closed.wait(PATIENCE_S)
        raise SourceLost("it was closed")

    def close(self) -> None:
        self.closed.set()


def test_a_live_frame_keeps_its_moment_on_the_agents_clock_and_a_stop_wakes_who_waits() -> None:
    source, account, stop = Waiting(), Account(), threading.Event()
    slot = NewestFrame(account)
    capture = Capture(source, (slot,), lambda: monotonic() + 1e9, count())
    thread = threading.Thread(target=capture.run, args=(stop,), daemon=True)
    thread.start()
    frame = slot.take(PATIENCE_S)
    assert frame is not None
    assert frame.time - 1e9 <= monotonic() - 5.0
    stop.set()
    capture.wake()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert capture.facts.losses == 0  # nobody lost anything: we left


class Damaged:
    """A live source with nothing but broken items, until it is lost."""

    name = "cam"
    live = True

    def __init__(self) -> None:
        self.reads = 0

    def open(self) -> SourceInfo:
        return SourceInfo(2, 2, None, None)

    def read(self) -> Frame | Broken | None:
        self.reads += 1
        if self.reads > 500:
            raise SourceLost("only damaged pictures", "clean it")
        return Broken("cam", self.reads, monotonic(), "cam", f"line {self.reads} is no sample")

    def close(self) -> None:
        pass


def test_a_source_of_broken_items_does_not_deliver_and_does_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    account, stop = Account(), threading.Event()
    capture = Capture(Damaged(), (NewestFrame(account),), monotonic, count())
    thread = threading.Thread(target=capture.run, args=(stop,), daemon=True)
    thread.start()
    eventually(lambda: capture.facts.state == "lost", "the loss", PATIENCE_S)
    stop.set()
    thread.join(PATIENCE_S)
    assert account.ledger().failed >= 500
    assert capture.facts.reason == "only damaged pictures"
    assert capture.facts.next == "clean it"
    assert sum("broken item" in record.message for record in caplog.records) == 1


class Gappy:
    """A live signal that counts gaps and makes no window of them."""

    name = "motor"
    live = True

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}
        self.lines = 0
        self.over = threading.Event()

    def open(self) -> SourceInfo:
        return SourceInfo(None, None, None, None)

    def read(self) -> Frame | Broken | None:
        if not self.lines:
            self.lines += 1
            return Broken("motor", 0, monotonic(), "", "line 1 is no sample", counted=False)
        self.notes = {"gaps": 3}
        self.over.wait(PATIENCE_S)
        raise SourceLost("was closed")

    def close(self) -> None:
        self.over.set()


def test_status_has_the_notes_of_a_signal_that_delivers_no_window() -> None:
    account, stop = Account(), threading.Event()
    capture = Capture(Gappy(), (NewestFrame(account),), monotonic, count())
    thread = threading.Thread(target=capture.run, args=(stop,), daemon=True)
    thread.start()
    eventually(lambda: capture.facts.notes == {"gaps": 3}, "the notes", PATIENCE_S)
    stop.set()
    capture.wake()
    thread.join(PATIENCE_S)
    assert account.ledger().captured == 0, "a word about the input is no frame"
    assert capture.facts.frames == 0


class Bursts:
    """A live source of two bursts; the items of each are dated back from its end, 10 ms apart."""

    name = "motor"
    live = True

    def __init__(self) -> None:
        self.items = [back for _ in range(2) for back in range(50, -1, -1)]

    def open(self) -> SourceInfo:
        return SourceInfo(None, None, None, None)

    def read(self) -> Frame | Broken | None:
        if not self.items:
            return None
        return Frame("motor", 0, monotonic() - 0.01 * self.items.pop(0), np.zeros((4, 1)))

    def close(self) -> None:
        pass


class Kept(NewestFrame):
    """A slot that remembers what it was offered."""

    def __init__(self) -> None:
        super().__init__(Account())
        self.times: list[float] = []

    def offer(self, item: Frame | Broken) -> None:
        self.times.append(item.time)
        super().offer(item)


def test_time_never_steps_back_however_samples_come() -> None:
    slot = Kept()
    Capture(Bursts(), (slot,), monotonic, count()).run(threading.Event())
    assert len(slot.times) == 102
    assert slot.times == sorted(slot.times)


class Recorded:
    """Ten frames a second for ever, delivered as fast as they are asked for."""

    name = "file"
    live = False

    def open(self) -> SourceInfo:
        return SourceInfo(2, 2, 20.0, None)

    def read(self) -> Frame | Broken | None:
        return Frame("file", 0, 0.0, np.zeros((2, 2, 3), np.uint8))

    def close(self) -> None:
        pass


def test_a_recorded_source_is_played_at_its_own_pace_and_stops_at_once() -> None:
    account, stop = Account(), threading.Event()
    capture = Capture(Recorded(), (NewestFrame(account),), monotonic, count())
    thread = threading.Thread(target=capture.run, args=(stop,), daemon=True)
    thread.start()
    stop.wait(0.5)
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    # Unpaced it would be many thousands; the exact number depends on the machine.
    assert 1 <= account.ledger().captured <= 12
