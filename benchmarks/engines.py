"""What an engine of ours costs beside the bare interpreter, and what its copies cost.

    python benchmarks/engines.py [MODEL.tflite ...]

Every installed runtime, one thread. `bare` is set_tensor, invoke and get_tensor on the runtime's
own interpreter; `ours` is `Engine.invoke`; the two take turns, so that a busy machine slows both
alike, and the ratio is what to look at. Then the ways into and out of the interpreter's memory, in
microseconds: a copy by the runtime (what we use), a copy through a view, and a view alone, which
the runtime forbids to keep across an invoke. Without an argument the models are looked for in the
folder EDGE_AGENT_REALDATA, or in shared/realdata beside the checkout.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from edge_agent.engines import RUNTIMES, EngineName, Plan, available, load

HERE = Path(__file__).parents[1]
REALDATA = Path(os.environ.get("EDGE_AGENT_REALDATA", HERE / "../shared/realdata"))
ROUNDS = 200


def main() -> int:
    models = [Path(name) for name in sys.argv[1:]] or sorted(REALDATA.glob("models/*.tflite"))
    if not models:
        print("no models: name some, or set EDGE_AGENT_REALDATA", file=sys.stderr)
        return 2
    print(f"{'':16}{'':36}{'invoke, ms':^18}{'':8}{'in, µs':^14}{'out, µs':^21}")
    print(
        f"{'engine':16}{'model':36}{'bare':>9}{'ours':>9}{'ratio':>8}"
        f"{'copy':>7}{'view':>7}{'copy':>7}{'view':>7}{'alone':>7}"
    )
    for engine in available():
        for model in models:
            print(f"{engine:16}{model.stem[:34]:36}{row(engine, model)}", flush=True)
    return 0


def row(engine: EngineName, model: Path) -> str:
    ours = load(model, Plan(engine))
    bare = importlib.import_module(f"{RUNTIMES[engine][0]}.interpreter").Interpreter(
        model_content=model.read_bytes(), num_threads=1
    )
    bare.allocate_tensors()
    spec = ours.inputs[0]
    tensor = np.random.default_rng(0).integers(0, 100, spec.shape).astype(spec.dtype)
    outputs = [output.index for output in ours.outputs]

    def plainly() -> Any:
        bare.set_tensor(spec.index, tensor)
        bare.invoke()
        return [bare.get_tensor(index) for index in outputs]

    slow, fast = in_turns(plainly, lambda: ours.invoke(tensor))
    into, out = bare.tensor(spec.index), bare.tensor(outputs[0])
    own = np.empty_like(out())
    ways: list[Callable[[], Any]] = [
        lambda: bare.set_tensor(spec.index, tensor),
        lambda: np.copyto(into(), tensor),
        lambda: bare.get_tensor(outputs[0]),
        lambda: np.copyto(own, out()),
        out,
    ]
    costs = "".join(f"{1000 * cost:7.1f}" for cost in in_turns(*ways))
    return f"{slow:9.3f}{fast:9.3f}{fast / slow:8.3f}{costs}"


def in_turns(*calls: Callable[[], Any]) -> list[float]:
    """The median milliseconds of each, called one after the other, for at most some seconds."""
    times: list[list[float]] = [[] for _ in calls]
    end = perf_counter() + 4
    while len(times[0]) < ROUNDS and (len(times[0]) < 5 or perf_counter() < end):
        for call, kept in zip(calls, times, strict=True):
            start = perf_counter()
            call()
            kept.append(1000 * (perf_counter() - start))
    return [median(kept) for kept in times]


if __name__ == "__main__":
    sys.exit(main())
