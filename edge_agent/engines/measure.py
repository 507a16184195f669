"""How fast a model is on this very board: every engine with every number of threads.

Rules: each round of each combination is a process of its own, so a crash cannot kill us and the
luck of one memory layout does not decide; rounds are interleaved, forwards and backwards, so that
heat and other work meet all alike. `kept` holds the newest answer for a model; `choice.py` uses it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.engines import EngineName, Plan, available, load, read, version
from edge_agent.engines.child import At, Limits, call
from edge_agent.engines.remember import keep, recall
from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.types import TensorSpec

if TYPE_CHECKING:
    from edge_agent.types import Array

_FILE = "measurements.json"
_ROUNDS = 3
_MOST_THREADS = 4
_MOST_INVOKES = 5000  # a round: enough for any percentile, little to hand over


@frozen
class Measurement:
    """One combination. `refused` is the sentence of an engine that does not run the model."""

    engine: EngineName
    version: str
    threads: int
    p50_ms: float | None
    p95_ms: float | None
    invokes: int
    refused: str = ""


@frozen
class Kept:
    """The measurements of one model, and of what they are true."""

    board: str
    date: str  # of the day, UTC: 2026-11-24
    measurements: tuple[Measurement, ...]


def measure(model: Path, seconds: float = 10.0) -> tuple[Measurement, ...]:
    """Every installed engine with 1 to 4 threads (as many as there are cores), best first.

    `seconds` is the time spent in `invoke`; starting the processes comes on top. An engine that
    refuses the model is in the answer with its reason, at the end. Raises UsageError for no file.
    """
    read(model)
    cores = len(os.sched_getaffinity(0))
    plans = [
        Plan(engine, threads)
        for engine in available()
        for threads in range(1, min(cores, _MOST_THREADS) + 1)
    ]
    times: dict[Plan, list[float]] = {plan: [] for plan in plans}
    refused: dict[Plan, str] = {}
    for turn in range(_ROUNDS):
        for plan in plans if turn % 2 == 0 else reversed(plans):
            if plan in refused:
                continue
            try:
                times[plan] += _round(model, plan, seconds / _ROUNDS / len(plans))
            except Refused as error:
                refused[plan] = error.message
    found = [_measurement(plan, times[plan], refused.get(plan, "")) for plan in plans]
    return tuple(sorted(found, key=lambda one: (one.p50_ms is None, one.p50_ms or 0.0)))


def save(state: Path, sha256: str, measurements: Sequence[Measurement]) -> None:
    """Keep the answer for the model with these bytes. Raises OSError."""
    models = recall(state / _FILE).get("models", {})
    models[sha256] = {
        "board": board(),
        "date": datetime.now(UTC).date().isoformat(),
        "measurements": [asdict(measurement) for measurement in measurements],
    }
    keep(state / _FILE, {"schema": "measurements/1", "models": models})


def kept(state: Path, sha256: str) -> Kept | None:
    """The kept answer for the model with these bytes; None when it was never measured."""
    entry = recall(state / _FILE).get("models", {}).get(sha256)
    if entry is None:
        return None
    measurements = tuple(Measurement(**document) for document in entry["measurements"])
    return Kept(entry["board"], entry["date"], measurements)


@cache
def board() -> str:
    """The kind of board: a card that moves from a Pi 4 to a Pi 5 must be measured again."""
    tree = Path("/proc/device-tree/model")
    if tree.exists():
        name = tree.read_text().rstrip("\0")
    else:
        cpus = Path("/proc/cpuinfo").read_text().splitlines()
        names = (line.split(":", 1)[1] for line in cpus if line.startswith("model name"))
        name = next(names, os.uname().machine)
    return f"{name.strip()}, {os.cpu_count()} cores"


def _measurement(plan: Plan, times: Iterable[float], refused: str) -> Measurement:
    ordered = sorted(times)
    installed = version(plan.engine)
    if refused or not ordered:
        return Measurement(plan.engine, installed, plan.threads, None, None, 0, refused)
    p50, p95 = (round(ordered[int(part * len(ordered))], 4) for part in (0.5, 0.95))
    return Measurement(plan.engine, installed, plan.threads, p50, p95, len(ordered))


def _round(model: Path, plan: Plan, seconds: float) -> list[float]:
    answer = call(model.name, _invoke_for, (model, plan, seconds), Limits(seconds=30 + 2 * seconds))
    times: list[float] = answer["ms"]
    return times


# --- the child's side --------------------------------------------------------------------------


def _invoke_for(at: At, model: Path, plan: Plan, seconds: float) -> dict[str, Any]:
    """Milliseconds of each invoke on random numbers; at least five after two to warm up."""
    at("loading")
    engine = load(model, plan)
    tensor = _random(engine.inputs[0])
    at("invoking")
    for _ in range(2):
        engine.invoke(tensor)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < _MOST_INVOKES):
        began = time.perf_counter()
        engine.invoke(tensor)
        times.append(1000 * (time.perf_counter() - began))
    return {"ms": times}


def _random(spec: TensorSpec) -> Array:
    generator = np.random.default_rng(0)
    dtype = np.dtype(spec.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, spec.shape, dtype, endpoint=True)
    return generator.random(spec.shape).astype(dtype)
