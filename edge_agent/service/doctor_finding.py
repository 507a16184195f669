"""The nouns of `doctor`: what is examined, what a check says of it, and what becomes a line.

A check is a small function over a `Case` that yields what it finds, in order; the runner
(`doctor.py`) times it, bounds it and makes `Finding`s of it. A check never raises for what is wrong
with the device: that is what it says. Read `doctor.py` next.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from edge_agent.frozen import frozen
from edge_agent.host.clock import Clock as HostClock

if TYPE_CHECKING:
    from edge_agent.config.schema import Config, Thermal

Verdict: TypeAlias = Literal["ok", "warn", "fail", "skipped"]


@frozen
class Finding:
    """One line for a person. `hint`: the next step, "" where nothing is to be done."""

    name: str  # of the check, and what of it: "disk", "source dock", "broker login"
    verdict: Verdict
    ms: float
    message: str
    hint: str = ""


@frozen
class Said:
    """What a check says. `part`: of which of several things, such as one source."""

    verdict: Verdict
    message: str
    hint: str = ""
    part: str = ""


def ok(message: str, part: str = "") -> Said:
    return Said("ok", message, part=part)


def warn(message: str, hint: str, part: str = "") -> Said:
    return Said("warn", message, hint, part)


def fail(message: str, hint: str, part: str = "") -> Said:
    return Said("fail", message, hint, part)


def skipped(reason: str, part: str = "") -> Said:
    return Said("skipped", reason, part=part)


class Clock(Protocol):
    """`host.clock.Clock` or `host.fake.FakeClock`."""

    def now(self) -> float: ...

    def wall_offset(self) -> float: ...

    def synced(self) -> bool: ...


@frozen
class Here:
    """The machine that is examined; another one only in tests."""

    clock: Clock = field(default_factory=HostClock)
    root: Path = Path("/")  # of /etc
    sysfs: Path = Path("/sys")
    packages: tuple[str, ...] | None = None  # where distributions are looked for; None: sys.path


@dataclass(slots=True)
class Case:
    """What is examined. The check of the configuration puts `config` in, for those after it."""

    path: Path  # of the configuration, which need not be there
    state: Path  # the state directory, which need not be there
    here: Here = field(default_factory=Here)
    config: Config | None = None

    @property
    def loaded(self) -> Config:
        """For checks that need `configuration`: they run only when it passed."""
        if self.config is None:
            raise RuntimeError("a check that reads the configuration must need it")
        return self.config

    @property
    def thermal(self) -> Thermal:
        """What is configured of the board's sensors; the defaults where nothing can be read."""
        from edge_agent.config.load import read
        from edge_agent.config.schema import Thermal

        config = self.config
        if config is None and self.path.is_file():
            config = read(self.path).config
        return Thermal() if config is None else config.thermal

    @property
    def sysfs(self) -> Path:
        """Where the board's sensors are: as configured, or this machine's own."""
        configured = self.thermal.sysfs
        return self.here.sysfs if configured == "/sys" else Path(configured)


@frozen
class Check:
    """`needs`: not run unless these passed. `seconds`: what it may take; then it is told so."""

    name: str
    run: Callable[[Case], Iterator[Said]]
    needs: tuple[str, ...] = ()
    seconds: float = 10.0


def shell(path: Path | str) -> str:
    """As it must be typed: a hint is followed by copy and paste."""
    return shlex.quote(str(path))
