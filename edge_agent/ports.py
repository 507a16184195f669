"""The verbs of the outside world: what the core and the service ask of sources and engines.

Each port has a real implementation and a fake that ships with the package and is used by the
tests (`sources.scene` is a source like any other). Read `service/capture.py` next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from edge_agent.types import Broken, Frame, SourceInfo, TensorSpec

if TYPE_CHECKING:
    from edge_agent.types import Array

#: A stopwatch: seconds on any steady clock. The core is handed one; it never reads a clock itself.
Stopwatch: TypeAlias = Callable[[], float]


class Source(Protocol):
    """Frames in order. One thread uses a source at a time.

    `live` sources deliver what happens now: the caller keeps only the newest frame. Others wait.
    """

    name: str
    live: bool

    def open(self) -> SourceInfo:
        """Make it ready within its time-out. Raises SourceLost (try again) or UsageError."""

    def read(self) -> Frame | Broken | None:
        """The next item within the source's stall time-out; None at the end of the input.

        Raises SourceLost when nothing came in time or the source went away.
        """

    def close(self) -> None:
        """Give everything back. May be called at any time, more than once."""


class Engine(Protocol):
    """One loaded model on one inference runtime. One thread uses an engine at a time."""

    name: str  # "litert" or "tflite-runtime"
    version: str
    threads: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: tuple[str, ...]

    def invoke(self, tensor: Array) -> tuple[Array, ...]:
        """Run the model on one input; the outputs in the order of `outputs`.

        The arrays may be views of the engine's memory: valid until the next invoke. Recurrent
        state is carried from call to call. Raises Refused when the model cannot run.
        """

    def reset(self) -> None:
        """Forget recurrent state (a source was restarted)."""

    def close(self) -> None: ...
