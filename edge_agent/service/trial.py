"""The first run of a model that nobody vouched for: in a child process, whole.

Whole is: load, look, invoke, decode, with preprocessing by the bundle's own manifest. What passed
is remembered by sha256 and engine version (`engines/isolate.py`). Read `models.py` next.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from edge_agent.bundles.agreement import check_operators
from edge_agent.bundles.anatomy import Anatomy, dissect, model_bytes
from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import Place
from edge_agent.bundles.guess import UnknownInput, Wish
from edge_agent.engines import EngineName, Plan, version
from edge_agent.engines.isolate import Answer, Question, probe, trust, trusted
from edge_agent.errors import NoRoom, Refused
from edge_agent.frozen import frozen
from edge_agent.pipeline.decode import decoder
from edge_agent.types import ModelSpec

#: A model that takes longer than this for its first answers hangs; and all that is tried of one
#: model, on one engine after the other, so that a person has the answer within half a minute.
SECONDS = 20.0
ALL_SECONDS = 27.0
_MEMORY = Path("/proc/meminfo")


@frozen
class Passed:
    """A model that ran in the child process. `refusals` are the sentences of engines before."""

    plan: Plan
    spec: ModelSpec
    answer: Answer
    refusals: Mapping[EngineName, str] = field(default_factory=dict)


def open_offered(place: Place, wish: Wish, plans: Sequence[Plan]) -> Bundle:
    """The bundle at a place. Where nobody knows what to give a bare model, the runtimes are asked:
    what they do not take either is refused in their words, which name the operator. Raises Refused.
    """
    try:
        return place.open(wish)
    except UnknownInput:
        _look(place.path, plans)
        raise


def try_out(bundle: Bundle, plans: Sequence[Plan]) -> Passed:
    """Run a model on the first engine that takes it. Raises Refused, as the first engine says it,
    where none does, NoRoom."""
    check_memory(bundle)
    anatomy = dissect(model_bytes(bundle.model), bundle.model.name)
    check_operators(bundle.manifest, anatomy.operators)
    refusals: dict[EngineName, Refused] = {}
    until = time.monotonic() + ALL_SECONDS
    for plan in plans:
        try:
            spec, answer = _rehearse(bundle, anatomy, plan, until)
        except Refused as refusal:
            refusals[plan.engine] = refusal
        else:
            said = {engine: refusal.message for engine, refusal in refusals.items()}
            return Passed(plan, spec, answer, said)
    raise next(iter(refusals.values()))


def check_memory(bundle: Bundle) -> None:
    """Raises NoRoom where less memory is free than the manifest requires."""
    wanted = bundle.manifest.requires.memory_mb
    free = _free_mb()
    if wanted is not None and free is not None and free < wanted:
        raise NoRoom(
            f"model {bundle.name} needs {wanted} MB of memory, {free} MB are free",
            "stop something else, or choose a smaller model",
        )


def known(sha256: str, plan: Plan, state: Path) -> bool:
    """Whether these bytes passed on the plan's engine. With a delegate nothing is known."""
    return plan.delegate is None and trusted(state, sha256, plan.engine, version(plan.engine))


def remember(sha256: str, plan: Plan, state: Path) -> None:
    if plan.delegate is None:
        trust(state, sha256, plan.engine, version(plan.engine))


def _free_mb() -> int | None:
    """What could be had without swapping; None where the kernel does not say."""
    for line in _MEMORY.read_text().splitlines() if _MEMORY.exists() else ():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 // 1_000_000
    return None


def _look(model: Path, plans: Sequence[Plan]) -> Answer:
    """Load, look and invoke on the first engine that takes it."""
    refusals: list[Refused] = []
    until = time.monotonic() + ALL_SECONDS
    for plan in plans:
        try:
            return probe(model, plan, _question(until))
        except Refused as refusal:
            refusals.append(refusal)
    raise refusals[0]


def _question(until: float, spec: ModelSpec | None = None) -> Question:
    return Question(spec, max(1.0, min(SECONDS, until - time.monotonic())))


def _rehearse(
    bundle: Bundle, anatomy: Anatomy, plan: Plan, until: float
) -> tuple[ModelSpec, Answer]:
    """The whole way of one frame through the model. Raises Refused with the one reason."""
    inputs, outputs = anatomy.inputs, anatomy.outputs
    if len(inputs) != 1 or not all(output.shape for output in outputs):
        # Which input takes the frame, and how large SSD's outputs are, only a loaded model says.
        seen = probe(bundle.model, plan, _question(until))
        inputs, outputs = seen.inputs, seen.outputs
    spec = bundle.spec(inputs[0], outputs)
    decoder(spec)  # refuses shapes that the family does not have, before anything runs on them
    answer = probe(bundle.model, plan, _question(until, spec))
    if answer.sha256 != bundle.manifest.sha256:
        raise Refused(f"{bundle.model.name} changed while it was being tried", "try again")
    return bundle.spec(answer.inputs[0], answer.outputs), answer
