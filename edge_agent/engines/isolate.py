"""The first load of a model that nobody vouched for: in a child process that may die of it.

Rules: what passed is remembered by the sha256 of its bytes with the engine's version, so the trial
costs half a second once. The record says nothing of delegates: a model that needs one is tried each
time. Who loads a model afterwards loads the bytes whose sha256 the answer bears. Read `child.py`
next.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.engines import EngineName, Plan, available, check_header, load, read, version
from edge_agent.engines.child import At, Limits, call
from edge_agent.engines.refusal import refusal
from edge_agent.engines.remember import keep, recall
from edge_agent.frozen import frozen
from edge_agent.types import ModelSpec, TensorSpec

if TYPE_CHECKING:
    from edge_agent.ports import Engine

_log = logging.getLogger(__name__)
_PASSED = "passed.json"


@frozen
class Question:
    """What to try: load, look, invoke twice; with `model` also its preprocessing and decoding."""

    model: ModelSpec | None = None
    seconds: float = 30.0
    memory_mb: int = 2048  # of address space, beside four times the model's own size


@frozen
class Answer:
    """What a model showed of itself. `inputs[0]` is the main input, as in the engine."""

    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[str, ...]
    invoke_ms: float  # of the second invoke
    memory_bytes: int  # what loading and running added to the process, at most


def probe(model: Path, plan: Plan, question: Question | None = None) -> Answer:
    """Try `model` in a child process.

    Raises Refused when it crashes, hangs or is refused there, UsageError when the file, the runtime
    or the delegate is missing.
    """
    question = question or Question()
    spec = question.model
    if spec is not None:  # a mapping of any kind must survive the pickle
        spec = replace(spec, output=dict(spec.output), guessed=dict(spec.guessed))
    content = read(model)
    check_header(content, model.name)  # what is plainly no model needs no process
    limits = Limits(question.seconds, question.memory_mb + 4 * (len(content) >> 20))
    answer = call(model.name, _examine, (model, plan, spec), limits)
    return Answer(
        sha256=answer["sha256"],
        inputs=tuple(_spec(document) for document in answer["inputs"]),
        outputs=tuple(_spec(document) for document in answer["outputs"]),
        operators=tuple(answer["operators"]),
        invoke_ms=answer["invoke_ms"],
        memory_bytes=answer["memory_bytes"],
    )


def trusted(state: Path, sha256: str, engine: EngineName, installed: str) -> bool:
    """Whether these bytes passed on this engine in this version."""
    return bool(recall(state / _PASSED).get("passed", {}).get(sha256, {}).get(engine) == installed)


def trust(state: Path, sha256: str, engine: EngineName, installed: str) -> None:
    """Remember that these bytes passed. A full disk or a read-only state is logged, no more: it
    shall stop no model that works."""
    passed = recall(state / _PASSED).get("passed", {})
    passed[sha256] = {**passed.get(sha256, {}), engine: installed}
    try:
        keep(state / _PASSED, {"schema": "passed/1", "passed": passed})
    except OSError as error:
        _log.warning("a model passed its trial and will be tried again next time: %s", error)


def _spec(document: dict[str, Any]) -> TensorSpec:
    """What `asdict` made of a TensorSpec, after JSON turned its tuples into lists."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    return TensorSpec(**fields)


# --- the child's side --------------------------------------------------------------------------


def _examine(at: At, path: Path, plan: Plan, model: ModelSpec | None) -> dict[str, Any]:
    at("loading")
    content = read(path)
    _check_structure(content, plan.engine, path.name)
    before = _memory("VmRSS")
    engine = load(content, plan, path.name)
    at("invoking")
    invoke_ms = _invoke_twice(engine)
    if model is not None:
        at("decoding")
        _decode(engine, model)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": [asdict(spec) for spec in engine.inputs],
        "outputs": [asdict(spec) for spec in engine.outputs],
        "operators": engine.operators,
        "invoke_ms": invoke_ms,
        "memory_bytes": _memory("VmHWM") - before,
    }


def _check_structure(content: bytes, engine: EngineName, name: str) -> None:
    """LiteRT verifies the FlatBuffer before it reads it; tflite-runtime believes what it finds.

    So LiteRT has a look first: what is truncated then gets a sentence instead of a crash, and what
    is damaged does not pass by luck.
    """
    if engine != "litert" and "litert" in available():
        from edge_agent.engines.litert import RUNTIME

        try:
            RUNTIME.interpreter(model_content=content)
        except ValueError as error:
            if "Flatbuffer" in str(error):  # all else is for the engine itself to judge
                raise refusal(name, f"litert {version('litert')}", error) from error


def _invoke_twice(engine: Engine) -> float:
    """Milliseconds of the second time, on grey for bytes and zero for everything else."""
    spec = engine.inputs[0]
    tensor = np.full(spec.shape, 128 if spec.dtype == "uint8" else 0, spec.dtype)
    engine.invoke(tensor)
    began = time.perf_counter()
    engine.invoke(tensor)
    return 1000 * (time.perf_counter() - began)


def _decode(engine: Engine, model: ModelSpec) -> None:
    """One blank frame's whole way through the model, as the pipeline will take it."""
    from edge_agent.pipeline.decode import decoder
    from edge_agent.pipeline.prepare import blank, preparer

    prepared = preparer(model)(blank(model.input))
    decoder(model)(engine.invoke(prepared.tensor), prepared)


def _memory(line: str) -> int:
    """Bytes by /proc/self/status. Not getrusage: its maximum is inherited from the parent."""
    status = dict(
        entry.split(":", 1) for entry in Path("/proc/self/status").read_text().splitlines()
    )
    return int(status[line].split()[0]) * 1024
