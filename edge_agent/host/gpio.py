"""An output that is a pin: one line of a GPIO chip, by libgpiod 2 (the extra `gpio`).

The line is requested once, as an output and off, and held until it is closed; the kernel names us
to whoever asks (`gpioinfo`). After it is given back its level is the driver's affair. Tests and
simulations use `FakeChip` in `host/fake.py`, which answers the same request.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen

CONSUMER = "edge-agent"
#: Of two chips with equal names the kernel's device file is meant.
DEVICES = "/dev/"


@frozen
class LineSpec:
    """Which line: of a chip by its device file or its name, counted from 0."""

    chip: str
    line: int
    active_low: bool = False

    @property
    def path(self) -> str:
        return self.chip if "/" in self.chip else DEVICES + self.chip

    def __str__(self) -> str:
        return f"line {self.line} of {self.path}"


class Pin(Protocol):
    """A line that is ours."""

    def set(self, on: bool) -> None: ...

    def release(self) -> None: ...


#: Ask a chip for a line, off. Raises OSError as the kernel does, ImportError without libgpiod.
Request: TypeAlias = Callable[[LineSpec], Pin]


class GpioLine:
    """`ports.Switch` by a line of a chip."""

    def __init__(self, spec: LineSpec, request: Request | None = None) -> None:
        self._spec = spec
        self._request = request or libgpiod
        self._pin: Pin | None = None

    def open(self) -> None:
        """Request the line; it is off then. Raises EdgeError with what is in the way."""
        if self._pin is not None:
            return
        try:
            self._pin = self._request(self._spec)
        except ImportError:
            raise EdgeError(
                "the library for GPIO is not installed", "pip install 'edge-agent-runtime[gpio]'"
            ) from None
        except (OSError, ValueError) as fault:
            raise _refusal(self._spec, fault) from None

    def turn(self, on: bool, facts: Mapping[str, str]) -> None:
        """Set the level. Raises EdgeError when the chip has gone; `open` may bring it back."""
        self.open()
        assert self._pin is not None
        try:
            self._pin.set(on)
        except OSError as fault:
            self.close()
            raise _refusal(self._spec, fault) from None

    def hurry(self) -> None:
        """A level is set at once anyway."""

    def close(self) -> None:
        """Release the line."""
        pin, self._pin = self._pin, None
        if pin is not None:
            pin.release()


def libgpiod(spec: LineSpec) -> Pin:
    """A real line. Raises ImportError without libgpiod 2, OSError as the kernel does."""
    import gpiod
    from gpiod.line import Direction, Value

    settings = gpiod.LineSettings(
        direction=Direction.OUTPUT, active_low=spec.active_low, output_value=Value.INACTIVE
    )
    request = gpiod.request_lines(spec.path, consumer=CONSUMER, config={spec.line: settings})

    class Line:
        def set(self, on: bool) -> None:
            request.set_value(spec.line, Value.ACTIVE if on else Value.INACTIVE)

        def release(self) -> None:
            request.release()

    return Line()


def _refusal(spec: LineSpec, fault: Exception) -> EdgeError:
    """What the kernel or the library said, in a sentence."""
    match getattr(fault, "errno", None):
        case errno.ENOENT | errno.ENODEV | errno.ENXIO | errno.ENOTTY:
            return EdgeError(f"there is no GPIO chip {spec.path}", "those there are: ls /dev/gpio*")
        case errno.EBUSY:
            message = f"{spec} is held by another program, perhaps by the agent"
            return EdgeError(message, "who holds it: gpioinfo")
        case errno.EACCES | errno.EPERM:
            step = "put the agent's user into the group gpio, and let its unit see the chip"
            return EdgeError(f"no permission for {spec}", step)
        case errno.EINVAL:
            return EdgeError(f"there is no {spec}", "how many there are: gpioinfo")
    return EdgeError(f"{spec} does not answer: {fault}", "look at it: gpioinfo")
