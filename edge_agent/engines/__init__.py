"""Engines: a model's bytes become something that answers `invoke`, on LiteRT or tflite-runtime.

Rules: both runtimes stand behind the one port `ports.Engine` and share all code but their import;
nothing heavy is imported before `load`; the runtimes' chatter reaches neither stdout nor stderr;
what a runtime refuses becomes one sentence that names the operator or the tensor.

`load` trusts its model: a damaged file can crash the process. A model that nobody vouched for
goes through `isolate.probe` first. Read `interpreter.py` next, then `isolate.py`, `measure.py` and
`choice.py`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from edge_agent.errors import Refused, UsageError
from edge_agent.frozen import frozen

if TYPE_CHECKING:
    from edge_agent.engines.interpreter import Runtime
    from edge_agent.ports import Engine

EngineName: TypeAlias = Literal["litert", "tflite-runtime"]

#: Engine -> (the module it is imported as, the distribution that it comes from); the order is the
#: order of preference where nothing was measured.
RUNTIMES: dict[EngineName, tuple[str, str]] = {
    "litert": ("ai_edge_litert", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime", "tflite-runtime"),
}
#: Bytes 4 to 8 of every TensorFlow Lite model: the FlatBuffer's file identifier.
IDENTIFIER = b"TFL3"


@frozen
class Plan:
    """How to run a model. `delegate` is the shared library of a TFLite external delegate."""

    engine: EngineName
    threads: int = 1
    delegate: str | None = None


def available() -> tuple[EngineName, ...]:
    """The engines that can be imported here; looks them up without importing them."""
    return tuple(
        engine for engine, (module, _) in RUNTIMES.items() if importlib.util.find_spec(module)
    )


def version(engine: EngineName) -> str:
    """The installed version of an engine. Raises UsageError when it is not installed.

    It stands in the name of the folder that pip puts beside a package. Only where it does not is
    Python's own reader of packages loaded, which costs a start a tenth of a bare script.
    """
    module, distribution = RUNTIMES[engine]
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin is not None:
        beside = list(Path(spec.origin).parents[1].glob(f"{module}-*.dist-info"))
        if len(beside) == 1:
            return beside[0].name.removeprefix(f"{module}-").removesuffix(".dist-info")
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise _not_installed(engine) from None


def load(model: bytes | Path, plan: Plan, name: str | None = None) -> Engine:
    """Make `model` ready to `invoke` in this process. `name` is what errors call it.

    Raises UsageError for a missing file, runtime or delegate library and for an impossible number
    of threads, Refused when the file is no model or the runtime does not take it.
    """
    if plan.engine not in available():
        raise _not_installed(plan.engine)
    if plan.threads < 1:
        raise UsageError(f"threads must be 1 or more, not {plan.threads}")
    content = read(model) if isinstance(model, Path) else model
    name = name or (model.name if isinstance(model, Path) else "the model")
    check_header(content, name)
    from edge_agent.engines.interpreter import InterpreterEngine

    return InterpreterEngine(content, name, plan, _runtime(plan.engine))


def read(model: Path) -> bytes:
    """The bytes of a model file. Raises UsageError when it cannot be read."""
    try:
        return model.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot read the model {model}: {reason}") from None


def check_header(content: bytes, name: str) -> None:
    """The cheap check that keeps empty files, texts and archives away from the runtimes."""
    if not content:
        raise Refused(f"{name} is empty")
    if content[4:8] != IDENTIFIER:
        raise Refused(
            f"{name} is no TensorFlow Lite model (bytes 4 to 8 are not {IDENTIFIER.decode()})"
        )


def _not_installed(engine: EngineName) -> UsageError:
    if engine == "tflite-runtime":
        return UsageError(
            "the engine tflite-runtime is not installed: it exists for Python 3.11 and older only",
            "use `engine: litert`, which runs on every supported Python",
        )
    return UsageError(f"the engine {engine} is not installed", f"pip install {RUNTIMES[engine][1]}")


def _runtime(engine: EngineName) -> Runtime:
    if engine == "litert":
        from edge_agent.engines import litert

        return litert.RUNTIME
    from edge_agent.engines import tflite_runtime

    return tflite_runtime.RUNTIME
