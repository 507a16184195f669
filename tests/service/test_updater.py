"""The threads of updates and models: what they go by, and that a hang of theirs would be seen."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yard

from edge_agent.config.schema import Ota
from edge_agent.policy.rollout import Kind, Mode, Rollout, Stage, State
from edge_agent.policy.vigil import Beat
from edge_agent.service.obey import Here
from edge_agent.service.ota_models import Models
from edge_agent.service.policies import Policing
from edge_agent.service.policies import Reach as PoliciesReach
from edge_agent.service.swap import Reach, Swap
from edge_agent.service.updater import House, Updater
from edge_agent.updates.offer import Order
from edge_agent.updates.source import Source

PATIENCE_S = 30.0


@contextmanager
def running(work: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def until(condition: Callable[[], Any]) -> None:
    by = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < by
        time.sleep(0.05)


def beats(beat: Beat) -> None:
    """It goes on, and every step that it says has its time."""
    numbers = set()

    def seen() -> bool:
        pulse = beat.pulse
        if pulse.number:
            assert math.isfinite(pulse.within_s)
            numbers.add(pulse.number)
        return len(numbers) > 3

    until(seen)


class Site:
    """As much of an agent as an updater asks for; `ota` may be changed as a reload does."""

    def __init__(self, state: Path) -> None:
        self.ota: Ota | None = None
        watch: Any = SimpleNamespace(runners={}, of_model=lambda name: [])
        story: Any = SimpleNamespace(tell=lambda step: None, catch_up=lambda: None)
        self.swap = Swap(
            Reach(
                state, state / "c.yaml", story, lambda: watch, lambda: None, lambda: None,
                lambda: False,
            )
        )  # fmt: skip
        policing = Policing(
            PoliciesReach(
                state, state / "c.yaml", story, lambda: watch, lambda: None, lambda: (), lambda: "",
            )
        )  # fmt: skip
        here = Here(state, ("dock-07", {}), lambda: None, lambda: UTC, lambda: True)
        config: Any = lambda: SimpleNamespace(ota=self.ota)  # noqa: E731
        self.updater = Updater(
            House(here, config, state / "c.yaml", lambda: watch, self.swap, policing, story)
        )

    def repository(self, folder: Path) -> None:
        """One that fails by its name."""
        folder.mkdir()
        (folder / "root.json").write_text("damaged")
        root = str(folder / "root.json")
        self.ota = Ota(repository=str(folder), root=root, check_every_s=604_800.0)


def test_a_reload_is_followed_without_a_restart(tmp_path: Path) -> None:
    """The next look would be due in a week."""
    site = Site(tmp_path)
    updater = site.updater

    def failed(name: str) -> bool:
        return updater.failure is not None and name in updater.failure.message

    with running(updater.run):
        site.repository(tmp_path / "first")
        until(lambda: failed("first"))
        site.repository(tmp_path / "second")
        until(lambda: failed("second"))
        site.ota = None
        until(lambda: updater.failure is None)


def test_both_threads_say_what_they_do_and_how_long_it_may_take(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with running(site.updater.run), running(site.swap.run):
        beats(site.updater.beat)
        beats(site.swap.beat)


def test_where_there_is_nothing_to_do_nothing_is_asked_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To see how a model stands takes its bundles apart: milliseconds of a core, for years."""
    yard.installed(tmp_path, "1")
    rollout = Rollout(
        "r1", 1, State.RUNNING, Kind.MODEL, "models/yard/1.tar", yard.sha256_of(tmp_path, "1"),
        "yard", "1", (Stage("all", Mode.CHARGE, percent=100),), 0,
    )  # fmt: skip
    asked: list[str] = []
    standing = Models.standing

    def counted(self: Models, rollout: Rollout) -> Any:
        asked.append(rollout.id)
        return standing(self, rollout)

    monkeypatch.setattr(Models, "standing", counted)
    updater = Site(tmp_path).updater
    updater._obey.take(Source("", str(tmp_path)), (Order("rollouts/r1.json", rollout, None),))
    for _ in range(5):
        updater._turn()
    assert asked == ["r1"]
    monkeypatch.setattr("edge_agent.service.updater.IDLE_S", 0.0)
    updater._idle.clear()
    for _ in range(5):
        updater._turn()
    assert len(asked) == 6
