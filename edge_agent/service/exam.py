"""What a model has to show before it may take charge here: on this board, on the very engine.

In a child process with limits: it loads and runs whole (`trial.py`), gives the answers of its
golden set within tolerance, and keeps to its latency budget. A damaged model that loads and runs is
caught by its hash before and by the golden set here. Read `charge.py` next.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.bundles import golden
from edge_agent.bundles.bundle import GOLDEN, MODEL, Bundle
from edge_agent.engines import Plan, load, read
from edge_agent.engines.child import At, Limits, call
from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.pipeline.prepare import blank, preparer
from edge_agent.service.trial import Passed, try_out
from edge_agent.types import ModelSpec

#: All of it, so that a person has the answer within half a minute.
SECONDS = 28.0
LEAST_S = 3.0
MEMORY_MB = 2048
#: Invokes that tell the 95th percentile, and for how long at most.
INVOKES = 100
FEWEST = 10
MEASURE_S = 1.5
#: Another program's load is not the model's fault: the best of so many rounds counts.
ROUNDS = 3
#: Of the file that a golden set becomes.
_GOLDEN_KB = 256 << 10


@frozen
class Examined:
    """What the model showed, on the engine that took it."""

    passed: Passed
    p50_ms: float
    p95_ms: float

    @property
    def numbers(self) -> dict[str, float]:
        """As an audit and a report tell them."""
        return {
            "invoke_ms_p50": round(self.p50_ms, 3),
            "invoke_ms_p95": round(self.p95_ms, 3),
            "memory_mb": round(self.passed.answer.memory_bytes / 1e6, 1),
        }


def examine(bundle: Bundle, plans: Sequence[Plan]) -> Examined:
    """The whole exam, on the first engine that takes the model. Raises Refused with the one reason,
    NoRoom where less memory is free than it requires."""
    until = time.monotonic() + SECONDS
    if not (bundle.folder / GOLDEN).is_file():
        raise Refused(
            f"model {bundle.name} has no golden set ({GOLDEN})",
            "edge-agent models import makes one of a .tflite",
        )
    passed = try_out(bundle, plans)
    found = _ask(bundle.folder, passed, until)
    if found["faults"]:
        raise answers_otherwise(bundle, found["faults"][0])
    budget = bundle.manifest.budget.invoke_ms_p95
    rounds = 1
    while budget is not None and found["p95_ms"] > budget and rounds < ROUNDS:
        found = min(found, _ask(bundle.folder, passed, until), key=lambda each: each["p95_ms"])
        rounds += 1
    if budget is not None and found["p95_ms"] > budget:
        raise Refused(
            f"model {bundle.name} {bundle.manifest.version} takes {found['p95_ms']:.3g} ms an"
            f" invoke on this board (p95, {passed.plan.engine}), its budget is {budget:g} ms",
            "take a smaller model, or another engine: edge-agent models bench",
        )
    return Examined(passed, found["p50_ms"], found["p95_ms"])


def answers_otherwise(bundle: Bundle, fault: str) -> Refused:
    return Refused(
        f"model {bundle.name} {bundle.manifest.version} answers otherwise than its golden set: "
        f"{fault}",
        "install it again, or make its golden set anew",
    )


def hold_against_golden(bundle: Bundle, passed: Passed) -> None:
    """Raises Refused with the first answer that differs."""
    faults = _ask(bundle.folder, passed, time.monotonic() + SECONDS)["faults"]
    if faults:
        raise answers_otherwise(bundle, faults[0])


def make_golden(folder: Path, passed: Passed) -> None:
    """Record the answers of a model that came without a golden set. Raises Refused."""
    limits = Limits(SECONDS, MEMORY_MB, file_kb=_GOLDEN_KB)
    spec = plain(passed.spec)
    call(MODEL, record, (folder, passed.plan, spec), limits)


def plain(spec: ModelSpec) -> ModelSpec:
    """One that survives a pickle: mappings may be of any kind."""
    return replace(spec, output=dict(spec.output), guessed=dict(spec.guessed))


def _ask(folder: Path, passed: Passed, until: float) -> dict[str, Any]:
    size_mb = (folder / MODEL).stat().st_size >> 20
    left_s = max(LEAST_S, until - time.monotonic())
    return call(
        MODEL,
        answer,
        (folder, passed.plan, plain(passed.spec)),
        Limits(left_s, MEMORY_MB + 4 * size_mb),
    )


# --- the child's side ----------------------------------------------------------------------------


def answer(at: At, folder: Path, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
    """What it answers otherwise than its golden set, and how long an invoke takes."""
    at("loading")
    engine = load(read(folder / MODEL), plan, spec.name)
    at("answering its golden set")
    faults = golden.check(folder / GOLDEN, spec, engine)
    at("being measured")
    engine.reset()
    tensor = preparer(spec)(blank(spec.input)).tensor
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < FEWEST or (len(times) < INVOKES and time.perf_counter() - began < MEASURE_S):
        last = time.perf_counter()
        engine.invoke(tensor)
        times.append(1000 * (time.perf_counter() - last))
    p50, p95 = np.percentile(times, [50, 95])
    return {"faults": list(faults[:4]), "p50_ms": float(p50), "p95_ms": float(p95)}


def record(at: At, folder: Path, plan: Plan, spec: ModelSpec) -> dict[str, Any]:
    """Its answers to made-up frames, as its golden set."""
    at("loading")
    engine = load(read(folder / MODEL), plan, spec.name)
    at("recording its golden set")
    golden.make(folder, spec, engine, golden.made_up_frames(spec.input))
    return {}
