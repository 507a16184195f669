"""Opening a model to run it: for a pipeline, for `infer`, for `models test`.

Rules: what did not come with the package runs in a child process first; this process loads the very
bytes that passed there. Read `install.py` next: how a model becomes part of this device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edge_agent.bundles.bundle import Bundle
from edge_agent.bundles.find import locate
from edge_agent.bundles.guess import Wish
from edge_agent.engines import EngineName, Plan, available, load, read
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import kept
from edge_agent.errors import Refused
from edge_agent.frozen import frozen
from edge_agent.ports import Engine
from edge_agent.service.trial import check_memory, known, open_offered, remember, try_out
from edge_agent.types import ModelSpec


@frozen
class Opened:
    """A model that runs here, with everything that is known of it."""

    bundle: Bundle
    spec: ModelSpec
    engine: Engine


@frozen
class Demand:
    """What the person says of how to run it."""

    engine: EngineName | Literal["auto"] = "auto"
    threads: int | Literal["auto"] = "auto"

    def plans(self, state: Path, sha256: str) -> tuple[Plan, ...]:
        """The plan to take, then those for when that engine refuses the model."""
        best = choose(self.engine, self.threads, kept(state, sha256)).plan
        others = available() if self.engine == "auto" else ()
        return (best, *(replace(best, engine=each) for each in others if each != best.engine))


def open_named(reference: str, wish: Wish, demand: Demand, state: Path) -> Opened:
    """The model that a person names: a bundle's name, folder or .tar, or a bare .tflite.

    Raises UsageError when there is none, Refused when no engine takes it.
    """
    place = locate(reference, state, Path())
    bundle = open_offered(place, wish, demand.plans(state, ""))
    return open_first(bundle, demand.plans(state, bundle.manifest.sha256), state)


def open_first(bundle: Bundle, plans: Sequence[Plan], state: Path) -> Opened:
    """The model on the first engine that takes it; the first refusal where none does."""
    refusals: list[Refused] = []
    for plan in plans:
        try:
            return open_model(bundle, plan, state)
        except Refused as refusal:
            refusals.append(refusal)
    raise refusals[0]


def open_model(bundle: Bundle, plan: Plan, state: Path) -> Opened:
    """Load a bundle's model. Raises Refused when it crashes, hangs or is not what it says, NoRoom
    when it would not fit."""
    check_memory(bundle)
    sha256 = bundle.manifest.sha256
    if not bundle.shipped and not known(sha256, plan, state):
        try_out(bundle, (plan,))
        remember(sha256, plan, state)
    engine = load(checked(bundle), plan, bundle.name)
    return Opened(bundle, bundle.spec(engine.inputs[0], engine.outputs), engine)


def checked(bundle: Bundle) -> bytes:
    """The model's bytes, which are those that the manifest names. Raises Refused."""
    content = read(bundle.model)
    if hashlib.sha256(content).hexdigest() != bundle.manifest.sha256:
        raise Refused(
            f"model {bundle.name} is not the one that its manifest names: {bundle.model.name} was "
            "changed",
            "install it again",
        )
    return content
