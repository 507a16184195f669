"""A model that begins to lie is found out, and is believed again when it is right."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_agent.config.load import load
from edge_agent.service.assemble import Assembled, Site, assemble
from edge_agent.service.known_answer import AGAIN_S, EVERY_S, FIRST_S, KnownAnswer
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.service.sharing import Shared, Turns, remembers

CONFIG = """\
sources: {yard: {kind: scene}}
pipelines: {people: {source: yard, model: MODEL, rules: [{name: seen}]}}
"""


class Liar:
    """An engine whose answers can be spoiled, as by a chip that got too hot."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.lies = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def invoke(self, tensor: Any) -> tuple[Any, ...]:
        outputs = self._engine.invoke(tensor)
        if not self.lies:
            return tuple(outputs)
        return tuple(np.roll(output, output.size // 3) for output in outputs)


@pytest.fixture
def lying(tmp_path: Path) -> Callable[[str], tuple[Liar, Assembled]]:
    def make(model: str) -> tuple[Liar, Assembled]:
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.replace("MODEL", model))
        assembled = assemble(load(path), "people", Site(tmp_path / "state", tmp_path), stopwatch)
        liar = Liar(assembled.engine)
        return liar, replace(assembled, engine=liar)

    return make


def test_a_right_answer_is_asked_for_after_the_start_and_every_few_hours(
    lying: Callable[[str], tuple[Liar, Assembled]],
) -> None:
    _, assembled = lying("scene-detector")
    known = KnownAnswer(assembled)
    assert not known.due(100.0)
    assert known.due(100.0 + FIRST_S)
    known.ask(200.0)
    assert (known.wrong, known.since) == ((), None)
    assert not known.due(200.0 + EVERY_S - 1)
    assert known.due(200.0 + EVERY_S)


@pytest.mark.parametrize("bare", [False, True])
def test_a_lie_is_found_out_and_forgiven_when_it_ends(
    lying: Callable[[str], tuple[Liar, Assembled]],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    bare: bool,
) -> None:
    model = "scene-detector"
    liar, assembled = lying(model)
    if bare:  # no golden set beside it
        guessed = replace(assembled.bundle, guessed={"family": "yolo"})
        assembled = replace(assembled, bundle=guessed)
    known = KnownAnswer(assembled)
    known.ask(0.0)
    assert known.wrong == ()
    liar.lies = True
    known.ask(10.0)
    assert known.wrong
    assert known.since == 10.0
    assert "model lies pipeline=people" in caplog.text
    assert known.due(10.0 + AGAIN_S)
    known.ask(10.0 + AGAIN_S)
    assert known.since == 10.0
    liar.lies = False
    known.ask(200.0)
    assert (known.wrong, known.since) == ((), None)


def test_a_model_with_a_memory_is_not_asked(
    lying: Callable[[str], tuple[Liar, Assembled]],
) -> None:
    liar, assembled = lying("scene-detector")
    assert not remembers(assembled.engine)
    liar.inputs = (*assembled.engine.inputs, assembled.engine.inputs[0])  # type: ignore[attr-defined]
    known = KnownAnswer(assembled)
    assert remembers(assembled.engine)
    assert not known.due(0.0)
    assert not known.due(1e9)


def test_a_question_waits_for_its_turn_on_a_model_that_another_pipeline_runs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("MODEL", "scene-detector"))
    site = Site(tmp_path / "state", tmp_path, shared=Shared(Turns(cores=2)))
    mine, other = (assemble(load(path), "people", site, stopwatch) for _ in range(2))
    assert mine.engine is other.engine
    runner = Runner(mine, SimpleNamespace())  # type: ignore[arg-type]
    asked = threading.Event()

    def question() -> None:
        runner.question(0.0)
        asked.set()

    with other.pipeline.turn():
        threading.Thread(target=question, daemon=True).start()
        assert not asked.wait(0.5)
    assert asked.wait(30)
    assert runner.known.wrong == ()
