"""A candidate beside the active model, with the shipped detector as both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bundles.find import find
from edge_agent.config.explain import pipeline_spec
from edge_agent.config.load import load
from edge_agent.engines import Plan
from edge_agent.pipeline.bystander import Bystander
from edge_agent.pipeline.rules import Ident
from edge_agent.pipeline.schedule import Calendar
from edge_agent.pipeline.step import Circumstances
from edge_agent.policy.rollout import Shadowing
from edge_agent.policy.shadow import Tally, Verdict
from edge_agent.service.assemble import parts_of
from edge_agent.service.models import open_model
from edge_agent.service.runner import stopwatch
from edge_agent.service.shadow import Pair, Shadow
from edge_agent.sources.scene import Scene, SceneSpec
from edge_agent.types import Decision, Frame, OperatingPoint, Outcome, Skip

CONFIG = """\
sources: {yard: {kind: scene, uri: 'built-in:?seed=7'}}
pipelines:
  people:
    source: yard
    model: scene-detector
    rules: [{name: person, label: person, confirm: [2, 3], cooldown_s: 5, cooldown_scope: track}]
"""
GATE = Decision("gate", "pass", {})
EVERY = Circumstances(Calendar(UTC))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    spec = pipeline_spec(load(path), "people")
    opened = open_model(find("scene-detector", tmp_path, tmp_path), Plan("litert", 1), tmp_path)

    def side() -> Bystander:
        return Bystander(parts_of(spec, opened.spec, opened.engine, Ident()), stopwatch)

    return Pair(side(), side(), boxed=True, labelled=False)


def frames(count: int) -> Iterator[Frame]:
    scene = Scene("yard", SceneSpec.parse("built-in:?seed=7"))
    scene.open()
    for _ in range(count):
        frame = scene.read()
        assert isinstance(frame, Frame)
        yield frame


class Play:
    """A shadow at work, and what it said in the end."""

    def __init__(self, pair: Pair, shadowing: Shadowing) -> None:
        self.said: list[tuple[Verdict, Tally]] = []
        self.pair = pair
        self.shadow = Shadow(pair, shadowing, {}, lambda *said: self.said.append(said))
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.shadow.run, args=(self.stop,))
        self.thread.start()

    def show(self, count: int, around: Circumstances = EVERY, **changes: Any) -> None:
        """As a worker does, and waits until each was looked at."""
        for frame in frames(count):
            found = self.pair.candidate.infer(frame)
            outcome = Outcome(frame, None, GATE, detections=found)
            self.shadow.offer(replace(outcome, **changes), around, 10.0)
            until = time.monotonic() + 5
            while self.shadow._shown is not None and time.monotonic() < until:
                time.sleep(0.001)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(5)
        assert not self.thread.is_alive()


@pytest.fixture
def play(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    monkeypatch.setattr("edge_agent.service.shadow.SHARE", 100.0)
    one = Play(pair, Shadowing(every=2, frames=30))
    yield one
    one.end()


def test_a_model_beside_itself_agrees(play: Play) -> None:
    play.show(70)
    ((verdict, tally),) = play.said
    assert verdict.passed
    assert tally.frames == 30
    assert verdict.numbers["least_agreement"] == 1.0
    assert tally.active.events == tally.candidate.events > 0


def test_only_every_nth_inferred_frame_is_looked_at(play: Play) -> None:
    play.show(10, skip=Skip.MOTION)
    assert play.shadow.tally.frames == 0
    play.show(11)
    assert play.shadow.tally.frames == 5


def test_nothing_while_the_board_is_held_back(play: Play) -> None:
    play.show(10, replace(EVERY, point=OperatingPoint(level=1, reason="hot")))
    assert play.shadow.tally.frames == 0


def test_a_share_of_the_cpu_and_no_more(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.service.shadow.SHARE", 0.0)
    monkeypatch.setattr("edge_agent.service.shadow.GRACE_S", 0.0)
    play = Play(pair, Shadowing(every=1, frames=1000))
    play.show(20)
    play.end()
    assert play.shadow.tally.frames == 1  # the first; then it had used up what it may


def test_a_candidate_that_fails_ends_its_shadow_and_costs_nobody_else(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Bystander, frame: Frame) -> None:
        raise RuntimeError("no such tensor")

    shown = [Outcome(frame, None, GATE) for frame in frames(3)]
    monkeypatch.setattr(Bystander, "infer", fail)
    for outcome in shown:
        play.shadow.offer(outcome, EVERY, 10.0)
    play.thread.join(5)
    ((verdict, _),) = play.said
    assert not verdict.passed
    assert verdict.reason == "it failed: RuntimeError: no such tensor"
