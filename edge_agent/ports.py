"""The verbs of the outside world: what the core and the service ask of sources and engines.

Each port has a real implementation and a fake that ships with the package and is used by the
tests (`sources.scene` is a source like any other). Read `service/capture.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from edge_agent.types import Broken, Frame, SourceInfo, TensorSpec

if TYPE_CHECKING:
    from edge_agent.types import Array

#: A stopwatch: seconds on any steady clock. The core is handed one; it never reads a clock itself.
Stopwatch: TypeAlias = Callable[[], float]


class Source(Protocol):
    """Frames in order. One thread uses a source at a time.

    `live` sources deliver what happens now: the caller keeps only the newest frame. Others wait.
    The `time` of a live item is `time.monotonic()` at the moment it was taken; whoever reads the
    source moves it to its own clock.
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
        """Give everything back. May be called at any time, more than once.

        Of a live source from another thread too: an `open` or a `read` under way there then ends
        at once, with SourceLost.
        """


@runtime_checkable
class Noting(Protocol):
    """A source that counts more than its items: gaps, bad lines, ... by words."""

    @property
    def notes(self) -> Mapping[str, int]: ...


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

    @property
    def movable(self) -> bool:
        """Whether `use` may change the threads: nothing that it remembers would be lost."""

    def use(self, threads: int) -> None:
        """Run on so many threads from the next invoke on; state is carried over.

        Loads the model anew. Raises Refused when that fails: the engine cannot be used then.
        """

    def close(self) -> None: ...


class Switch(Protocol):
    """Something outside that is on or off: a program, a pin. One thread uses it at a time."""

    def open(self) -> None:
        """Make it ready; a pin is off then. Raises EdgeError, and may be called again."""

    def turn(self, on: bool, facts: Mapping[str, str]) -> None:
        """Switch it, within its time-out. `facts` says why, in variables of an environment.

        Raises EdgeError when it did not work: nobody knows then in which state it is.
        """

    def hurry(self) -> None:
        """From another thread: end soon what is under way, and take little time from now on."""

    def close(self) -> None:
        """Give it back as it is. May be called more than once."""
