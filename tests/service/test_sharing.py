"""Several pipelines: one model is loaded once, one source is read once, turns go by rank."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edge_agent.config.known import part_of
from edge_agent.config.schema import Config
from edge_agent.host.clock import Clock
from edge_agent.ports import Engine
from edge_agent.service.assemble import Site
from edge_agent.service.capture import Capture
from edge_agent.service.ledger import Account
from edge_agent.service.replay import Wishes, replay
from edge_agent.service.sharing import PATIENCE_S, Turns, remembers
from edge_agent.service.slot import NewestFrame
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.watch import House, Watch
from edge_agent.sources.scene import Scene
from edge_agent.store.record import open_store
from edge_agent.types import Frame, SourceInfo

RULES = [{"name": "seen"}]
TWO = {
    "sources": {"cam": {"kind": "scene", "uri": "built-in:?seed=7&frames=12"}},
    "pipelines": {
        name: {"source": "cam", "model": "scene-detector", "gate": {"max_fps": 0}, "rules": RULES}
        for name in ("first", "second")
    },
}


class Film:
    """Ten pictures that somebody counts."""

    live = False
    name = "film"

    def __init__(self) -> None:
        self.read_so_far = 0

    def open(self) -> SourceInfo:
        return SourceInfo(4, 4, 1000.0, None)

    def read(self) -> Frame | None:
        if self.read_so_far == 10:
            return None
        self.read_so_far += 1
        return Frame("film", self.read_so_far, 0.0, np.zeros((4, 4, 3), np.uint8))

    def close(self) -> None:
        pass


def test_one_model_in_two_pipelines_is_loaded_once(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.start()
        surroundings = Surroundings(Clock(), "UTC")
        house = House(tmp_path, store, surroundings, lambda: None, lambda part: None)
        watch = Watch(part_of(Config, TWO), tmp_path, house)
        first, second = (runner.assembled for runner in watch.runners.values())
        assert first.engine is second.engine
        assert first.pipeline is not second.pipeline
        assert list(watch.captures) == ["cam"]


def test_one_source_of_two_pipelines_is_read_once_live() -> None:
    film, accounts = Film(), (Account(), Account())
    slots = tuple(NewestFrame(account) for account in accounts)
    Capture(film, slots, Clock().now, iter(range(100))).run(threading.Event())
    assert film.read_so_far == 10
    assert [account.ledger().captured for account in accounts] == [10, 10]
    taken = [slot.take(0.0) for slot in slots]
    assert taken[0] is taken[1] is not None


def test_one_source_of_two_pipelines_is_read_once_in_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[int] = []
    paint = Scene.picture
    monkeypatch.setattr(
        Scene, "picture", lambda self, index: painted.append(index) or paint(self, index)
    )
    wishes = Wishes(("first", "second"), Site(tmp_path, tmp_path))
    done = replay("built-in:?seed=7&frames=12", "scene", part_of(Config, TWO), wishes)
    frames = {name: part["frames"] for name, part in done.report["pipelines"].items()}
    assert [each["captured"] for each in frames.values()] == [12, 12]
    assert painted == list(range(12))


def engine(inputs: int, *operators: str) -> Engine:
    return cast(Engine, SimpleNamespace(inputs=(None,) * inputs, operators=operators))


def test_a_model_that_remembers_its_stream_is_not_shared() -> None:
    assert not remembers(engine(1, "CONV_2D", "SOFTMAX"))
    assert remembers(engine(2, "CONV_2D"))  # state goes from output to input
    assert remembers(engine(1, "VAR_HANDLE", "CONV_2D"))
    assert remembers(engine(1, "UNIDIRECTIONAL_SEQUENCE_LSTM"))
    assert remembers(engine(1))  # nobody can tell


class Line:
    """Threads that wait for turns; `order` is how they came on."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[Any] = []
        self._threads: list[threading.Thread] = []

    def wait(self, name: Any, rank: int, model: Engine) -> None:
        """Begin to wait; returns when it stands in the line."""
        before = len(self.turns._waiting)
        thread = threading.Thread(target=self._take, args=(name, rank, model))
        thread.start()
        self._threads.append(thread)
        while len(self.turns._waiting) <= before:
            thread.join(0.001)

    def _take(self, name: Any, rank: int, model: Engine) -> None:
        with self.turns.turn(rank, model, lambda: None):
            self.order.append(name)

    def end(self) -> list[Any]:
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        return self.order


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=100.0)


def test_who_waits_goes_on_by_rank_and_then_in_order() -> None:
    line = Line(Turns(1))
    with line.turns.turn(1, engine(1, "a"), lambda: None):
        for place, rank in enumerate((2, 1, 0, 1, 0)):
            line.wait((rank, place), rank, engine(1, str(place)))
        assert line.order == []
    assert line.end() == [(0, 2), (0, 4), (1, 1), (1, 3), (2, 0)]


def test_whoever_waited_long_goes_first_whatever_its_rank(clock: SimpleNamespace) -> None:
    line = Line(Turns(1, lambda: clock.now))
    with line.turns.turn(0, engine(1, "a"), lambda: None):
        line.wait("record", 2, engine(1, "b"))
        clock.now += PATIENCE_S
        line.wait("alert", 0, engine(1, "c"))
    assert line.end() == ["record", "alert"]


def test_another_core_takes_another_model_but_never_the_same_one() -> None:
    line = Line(Turns(2))
    one, other = engine(1, "one"), engine(1, "other")
    with line.turns.turn(0, one, lambda: None):
        line.wait("same", 0, one)
        with line.turns.turn(2, other, lambda: None):
            assert line.order == []  # a lower rank had the free core, for its model was free
    assert line.end() == ["same"]


def test_who_waits_says_so_as_long_as_it_takes() -> None:
    turns, said = Turns(1), threading.Event()
    thread = threading.Thread(target=_once, args=(turns, said))
    with turns.turn(0, engine(1, "a"), lambda: None):
        thread.start()
        assert said.wait(5)
    thread.join(5)
    assert not thread.is_alive()


def _once(turns: Turns, said: threading.Event) -> None:
    with turns.turn(0, engine(1, "b"), said.set):
        pass
