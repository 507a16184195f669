"""An industrial I/O sensor (accelerometer, ADC, ...) polled through sysfs.

A channel `accel_x` is read as (in_accel_x_raw + offset) * scale, with in_accel_x_offset or
in_accel_offset and in_accel_x_scale or in_accel_scale where they are there: Documentation/ABI/
testing/sysfs-bus-iio of the Linux kernel. Rules: sample k is due k periods after the first, however
long reading takes, so the rate does not drift; a moment that was missed, and a reading that failed,
is a missing sample. Polling is good for some hundred samples a second; faster sensors want `tcp:`.
"""

from __future__ import annotations

import errno
import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from time import monotonic

import numpy as np

from edge_agent.errors import SourceLost, UsageError
from edge_agent.frozen import frozen
from edge_agent.sources.signal import Block, SamplesInfo

#: Samples are handed on at least so often.
TOGETHER_S = 0.1
#: What a sensor says that is there and cannot answer just now.
_PASSING = (errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.EINTR)


@frozen
class Channel:
    raw: Path
    offset: float
    scale: float


@frozen
class IioSpec:
    """`channels` () are all that the device has, in the order of their names."""

    folder: Path
    channels: tuple[str, ...]
    rate_hz: float
    stall_s: float


class Iio:
    """One device as samples."""

    live = True

    def __init__(self, name: str, spec: IioSpec) -> None:
        self._subject = f"source {name}: {spec.folder}"
        self._spec = spec
        self._channels: tuple[Channel, ...] = ()
        self._over = Event()
        self._begun = 0.0
        self._next = 0  # number of the next sample
        self._heard = 0.0  # when the sensor last answered
        self._counts: Counter[str] = Counter()

    @property
    def notes(self) -> Mapping[str, int]:
        return self._counts

    def open(self) -> SamplesInfo:
        """Raises SourceLost where the device is not there or cannot be read, UsageError where it
        lacks a wanted channel."""
        self._over.clear()
        self._channels = self._found()
        if self._sample() is None:
            raise SourceLost(f"{self._subject} does not answer")
        self._begun = self._heard = monotonic()
        self._next = 0
        return SamplesInfo(None, len(self._channels))

    def read(self) -> Block:
        """What falls due within `TOGETHER_S`, one sample at least."""
        rows = []
        period = 1 / self._spec.rate_hz
        for _ in range(max(1, round(TOGETHER_S / period))):
            if self._over.wait(max(0.0, self._begun + self._next * period - monotonic())):
                raise SourceLost(f"{self._subject} was closed")
            row = self._sample()
            now = monotonic()
            if row is None:
                self._counts["failed_readings"] += 1
                self._check_stall(now)
            else:
                self._heard = now
            rows.append(row or [math.nan] * len(self._channels))
            self._next += 1
            missed = int((now - self._begun) / period) - self._next
            if missed > 0:
                self._counts["missed"] += missed
                self._next += missed
                rows += [[math.nan] * len(self._channels)] * missed
        return Block(np.array(rows, np.float32))

    def close(self) -> None:
        self._over.set()

    def _sample(self) -> list[float] | None:
        """One number of each channel; None where the sensor could not say it just now."""
        row = []
        for channel in self._channels:
            try:
                raw = float(channel.raw.read_bytes())
            except ValueError:
                return None
            except OSError as fault:
                if fault.errno in _PASSING:
                    return None
                raise SourceLost(f"{self._subject} is gone: {fault.strerror}") from None
            row.append((raw + channel.offset) * channel.scale)
        return row

    def _check_stall(self, now: float) -> None:
        if now - self._heard > self._spec.stall_s:
            raise SourceLost(f"{self._subject} gave no sample for {self._spec.stall_s:g} s")

    # --- what there is ---------------------------------------------------------------------------

    def _found(self) -> tuple[Channel, ...]:
        names = sorted(
            path.name.removeprefix("in_").removesuffix("_raw")
            for path in self._spec.folder.glob("in_*_raw")
        )
        if not names:
            raise SourceLost(f"{self._subject} has no channel that can be read")
        for name in self._spec.channels:
            if name not in names:
                raise UsageError(
                    f"{self._subject} has no channel {name!r}", f"it has: {', '.join(names)}"
                )
        return tuple(self._channel(name) for name in self._spec.channels or names)

    def _channel(self, name: str) -> Channel:
        raw = self._spec.folder / f"in_{name}_raw"
        return Channel(raw, self._attribute(name, "offset", 0.0), self._attribute(name, "scale", 1))

    def _attribute(self, name: str, what: str, otherwise: float) -> float:
        """The channel's own, or that of all channels of its type."""
        kind = re.match(r"[a-z]+", name)
        for whose in (name, kind[0] if kind else name):
            path = self._spec.folder / f"in_{whose}_{what}"
            try:
                return float(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError):
                raise SourceLost(f"{self._subject}: {path.name} cannot be read") from None
        return otherwise
