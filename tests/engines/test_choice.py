"""`auto`: which engine and how many threads, and the sentence that says why."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.engines import RUNTIMES, EngineName, Plan, available, version
from edge_agent.engines.choice import Here, choose
from edge_agent.engines.measure import Kept, Measurement, board

HERE = Here("a board", {"litert": "2.3.0", "tflite-runtime": "2.14.0"})


def ms(engine: Any, threads: int, p50: float | None, made_with: str | None = None) -> Measurement:
    return Measurement(engine, made_with or HERE.versions[engine], threads, p50, p50, 9)


def measured(*measurements: Measurement, on: str = "a board") -> Kept:
    return Kept(on, "2026-11-24", measurements)


YOLO = measured(
    ms("litert", 1, 2.35), ms("litert", 2, 1.46),
    ms("tflite-runtime", 1, 17.3), ms("tflite-runtime", 2, 13.6),
)  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "threads", "kept", "plan", "reason"),
    [
        ("auto", "auto", YOLO, Plan("litert", 2),
         "auto: litert, 2 threads: 1.46 ms against 13.6 ms by tflite-runtime, measured 2026-11-24"),
        ("auto", 1, YOLO, Plan("litert", 1),
         "auto: litert, 1 thread: 2.35 ms against 17.3 ms by tflite-runtime, measured 2026-11-24"),
        ("tflite-runtime", "auto", YOLO, Plan("tflite-runtime", 2),
         "auto: tflite-runtime, 2 threads: 13.6 ms against 17.3 ms with 1 thread, "
         "measured 2026-11-24"),
        ("tflite-runtime", 3, YOLO, Plan("tflite-runtime", 3),
         "tflite-runtime, 3 threads, as configured"),
        ("auto", 3, YOLO, Plan("litert", 3), "auto: litert, 3 threads: no measurement"),
        ("auto", "auto", None, Plan("litert", 1), "auto: litert, 1 thread: no measurement"),
        ("tflite-runtime", "auto", None, Plan("tflite-runtime", 1),
         "auto: tflite-runtime, 1 thread: no measurement"),
        ("auto", "auto", measured(ms("litert", 1, 0.1079), ms("litert", 2, 0.1)),
         Plan("litert", 1),
         "auto: litert, 1 thread: 0.108 ms against 0.1 ms with 2 threads, measured 2026-11-24"),
        ("auto", "auto", measured(ms("litert", 1, 1234.5)), Plan("litert", 1),
         "auto: litert, 1 thread: 1230 ms, measured 2026-11-24"),
        ("auto", "auto", measured(ms("tflite-runtime", 1, 0.5), on="a Pi 4"), Plan("litert", 1),
         "auto: litert, 1 thread: no measurement; that of 2026-11-24 was made on another board "
         "(a Pi 4)"),
        ("auto", "auto",
         measured(ms("litert", 1, 5.0), ms("tflite-runtime", 1, 0.5, made_with="2.13.0")),
         Plan("litert", 1),
         "auto: litert, 1 thread: 5 ms, measured 2026-11-24; that of tflite-runtime was made with "
         "version 2.13.0, not 2.14.0"),
        ("auto", "auto", measured(ms("litert", 1, None), ms("tflite-runtime", 1, 0.5)),
         Plan("tflite-runtime", 1),
         "auto: tflite-runtime, 1 thread: 0.5 ms, measured 2026-11-24"),
    ],
)  # fmt: skip
def test_the_choice_and_its_reason(
    engine: Any, threads: Any, kept: Kept | None, plan: Plan, reason: str
) -> None:
    choice = choose(engine, threads, kept, HERE)
    assert (choice.plan, choice.reason) == (plan, reason)


def test_an_engine_that_is_no_longer_installed_is_not_chosen() -> None:
    kept = measured(ms("litert", 1, 5.0), ms("tflite-runtime", 1, 0.5))
    assert (
        choose("auto", "auto", kept, Here("a board", {"litert": "2.3.0"})).plan.engine == "litert"
    )


def test_without_being_told_the_choice_is_made_for_this_device() -> None:
    made_here = Measurement("litert", version("litert"), 2, 1.0, 1.0, 9)
    assert choose("auto", "auto", Kept(board(), "2026-11-24", (made_here,))).plan.threads == 2
    elsewhere = choose("auto", "auto", Kept("a Pi 4", "2026-11-24", (made_here,)))
    assert "another board (a Pi 4)" in elsewhere.reason


def test_what_one_thread_costs_is_told_of_several() -> None:
    kept = measured(ms("litert", 1, 6.0), ms("litert", 2, 4.0))
    assert choose("auto", "auto", kept, HERE).single == pytest.approx(0.75)
    assert choose("litert", 2, kept, HERE).single == pytest.approx(0.75)
    assert choose("litert", 1, kept, HERE).single is None
    assert choose("litert", 2, measured(ms("litert", 2, 4.0)), HERE).single is None


@settings(max_examples=100)
@given(
    times=st.lists(st.floats(0.01, 100), min_size=8, max_size=8),
    engine=st.sampled_from(["auto", "litert", "tflite-runtime"]),
    threads=st.sampled_from(["auto", 1, 2, 3, 4]),
)
def test_a_choice_obeys_what_is_fixed_and_is_at_most_a_tenth_slower_than_the_best(
    times: list[float], engine: Any, threads: Any
) -> None:
    speed = {
        Plan(name, count): times[4 * i + count - 1]
        for i, name in enumerate(HERE.versions)
        for count in (1, 2, 3, 4)
    }
    kept = measured(*(ms(plan.engine, plan.threads, p50) for plan, p50 in speed.items()))
    chosen = choose(engine, threads, kept, HERE).plan
    allowed = {
        plan: p50
        for plan, p50 in speed.items()
        if engine in ("auto", plan.engine) and threads in ("auto", plan.threads)
    }
    assert chosen in allowed
    assert allowed[chosen] <= 1.10 * min(allowed.values())
    assert all(
        plan.threads >= chosen.threads
        for plan, p50 in allowed.items()
        if p50 <= 1.10 * min(allowed.values())
    )


@pytest.mark.parametrize("engine", sorted(RUNTIMES))
def test_the_version_of_an_engine_is_the_one_that_pip_says(
    engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine not in available():
        pytest.skip("not installed here")
    said = metadata.version(RUNTIMES[engine][1])
    assert version(engine) == said
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))  # another way of installing it
    assert version(engine) == said
