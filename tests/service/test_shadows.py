"""The shadows of one candidate beside its pipelines: their verdict, and what ends them early."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.bundles.find import find
from edge_agent.config.load import load
from edge_agent.pipeline.bystander import Bystander
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.policy.rollout import Shadowing
from edge_agent.service import shadows as module
from edge_agent.service.assemble import Site, assemble
from edge_agent.service.runner import stopwatch
from edge_agent.service.shadows import Ended, Shadows
from edge_agent.sources.scene import Scene, SceneSpec
from edge_agent.types import Decision, Frame, Outcome

CONFIG = """\
sources: {yard: {kind: scene, uri: 'built-in:?seed=7'}}
pipelines:
  people:
    source: yard
    model: scene-detector
    rules: [{name: person, label: person}]
"""
AROUND = Circumstances(Calendar(UTC))
FRAMES = 5


class Place:
    """A pipeline that works, as far as a shadow sees it, and the shadows beside it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "c.yaml"
        path.write_text(CONFIG)
        assembled = assemble(load(path), "people", Site(folder, folder), stopwatch)
        self.runner = SimpleNamespace(name="people", assembled=assembled, shadow=None)
        watch = SimpleNamespace(
            state=folder, runners={"people": self.runner}, of_model=lambda name: (self.runner,)
        )
        self.watch: Any = watch
        self.shadows = Shadows(lambda: watch)
        self.bundle = find("scene-detector", folder, folder)
        scene = Scene("yard", SceneSpec.parse("built-in:?seed=7"))
        scene.open()
        frame = scene.read()
        assert isinstance(frame, Frame)
        self.outcome = Outcome(frame, None, Decision("gate", "pass", {}))

    def begin(self) -> None:
        assert self.shadows.begin(self.bundle, Shadowing(every=1, frames=FRAMES), {}) == 1
        assert self.shadows.candidate == self.bundle.what

    def show(self) -> None:
        if self.runner.shadow is not None:
            self.runner.shadow.offer(self.outcome, AROUND, 10.0)

    def verdict(self, seconds: float = 10.0) -> Ended:
        """Show frames, and look, until there is one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.show()
            ended = self.shadows.look()
            if ended is not None:
                return ended
            time.sleep(0.01)
        raise AssertionError("no verdict")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path)
    yield one
    one.shadows.end()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A candidate that gives no answer until the event is set."""
    go_on, infer = threading.Event(), Bystander.infer

    def hang(self: Bystander, frame: Frame) -> Any:
        go_on.wait(30)
        return infer(self, frame)

    monkeypatch.setattr(Bystander, "infer", hang)
    monkeypatch.setattr(module, "ANSWER_S", 0.3)
    monkeypatch.setattr(module, "STOP_S", 0.2)
    yield go_on
    go_on.set()


def test_enough_frames_make_a_verdict_and_nothing_is_left(place: Place) -> None:
    place.begin()
    ended = place.verdict()
    assert ended.document["pipelines"]["people"]["frames"] == FRAMES
    assert place.shadows.candidate is None
    assert place.runner.shadow is None
    assert not [each for each in threading.enumerate() if each.name.startswith("shadow")]


def test_a_candidate_that_hangs_has_its_verdict(place: Place, hanging: threading.Event) -> None:
    place.begin()
    ended = place.verdict()
    assert not ended.verdict.passed
    assert ended.verdict.reason == "it gave no answer for 0 s"


def test_what_a_hanging_one_says_late_is_not_of_the_next(
    place: Place, hanging: threading.Event
) -> None:
    place.begin()
    place.verdict()
    (left,) = (each for each in threading.enumerate() if each.name == "shadow people")
    place.begin()
    hanging.set()
    left.join(10)
    assert not left.is_alive()
    ended = place.verdict()
    assert ended.document["pipelines"]["people"]["frames"] == FRAMES


def test_another_model_in_charge_ends_a_shadow_without_a_verdict(place: Place) -> None:
    place.begin()
    place.runner.assembled = replace(place.runner.assembled)
    assert place.shadows.look() is None
    assert place.shadows.candidate is None


def test_a_pipeline_that_was_built_anew_does_too(place: Place) -> None:
    place.begin()
    place.watch.runners = {}
    assert place.shadows.look() is None
    assert place.shadows.candidate is None
