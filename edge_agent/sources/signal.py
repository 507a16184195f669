"""A signal: samples from a file, a sensor or a network, as a source of windows.

The kinds (`signal_csv.py`, `signal_wav.py`, ...) deliver samples through the port `Samples`; here
they are cut into windows (`windower.py`) and judged: the count of channels, the rate, what is
missing. Rules: a window is a `Frame` whose data is (window, channels) float32 and whose time is
that of its last sample; one in which too much is missing is a `Broken` item. What could not be read
between the samples is told by a `Broken` that does not count, and reading goes on behind it.
Read `signal_csv.py` for a recording next, `signal_stream.py` for what is live.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_agent.errors import SourceLost, UsageError
from edge_agent.frozen import frozen
from edge_agent.sources.patience import Patience
from edge_agent.sources.windower import FILLED_AT_MOST, Spoilt, Windower, rate_of
from edge_agent.types import Broken, Frame, SourceInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A rate that is further from the stated one is another rate.
RATE_TOLERANCE = 0.05
#: So many samples with times of their own tell the rate of a live source.
TELLING = 128


@frozen
class SamplesInfo:
    """What samples say of themselves once they are open; None where they cannot know.

    `names` are those of the channels, and `choosing` is the uri that chooses among them, up to the
    first name.
    """

    rate_hz: float | None
    channels: int | None
    samples: int | None = None  # in all
    dated: bool = False  # their times are seconds since the epoch
    file: str = ""  # the name of the file that they come from
    names: tuple[str, ...] = ()
    choosing: str = ""


@frozen
class Block:
    """Samples in a row: `values` (n, channels) float32, NaN where the sensor gave none.

    `times` (n,) float64 are the seconds of the samples where they bear them; None: they follow
    one another at the rate, without a gap. `stamped_once`: only the first one was read from a
    clock, the others were counted on from it.
    """

    values: NDArray[np.float32]
    times: NDArray[np.float64] | None = None
    stamped_once: bool = False


@frozen
class Damage:
    """A stretch that could not be read. `fails`: there should have been windows, and there are
    none; else the samples around it are whole."""

    reason: str
    fails: bool = False


class Samples(Protocol):
    """Where samples come from. One thread uses it at a time.

    `notes` counts what is worth telling beside the samples, by words such as `bad_lines`. `live`
    samples come when they are taken, others as fast as they are read.
    """

    live: bool

    @property
    def notes(self) -> Mapping[str, int]: ...

    def open(self) -> SamplesInfo:
        """From the beginning, within a time-out. Raises SourceLost (try again) or UsageError."""

    def read(self) -> Block | Damage | None:
        """More samples, at least one; None at the end. Raises SourceLost when none came in time."""

    def close(self) -> None:
        """Give everything back. May be called more than once; of live samples from another thread
        too, and a read under way there then ends at once with SourceLost."""


@frozen
class Framing:
    """How samples are cut into windows, and what they must be like.

    `rate_hz` and `channels` None: as they come. `origin` is the time at which a recording begins,
    in seconds since the epoch; `loop` begins it again at its end. `assumed_hz` is the rate of a
    recording of which nothing tells it; None: that is a mistake. A live source without a sample for
    `stall_s` is lost, whatever else it sends.
    """

    window: int
    hop: int
    rate_hz: float | None = None
    channels: int | None = None
    loop: bool = False
    origin: float = 0.0
    assumed_hz: float | None = None
    stall_s: float = 10.0


class Signal:
    """Samples of any kind as a `Source` of windows."""

    def __init__(self, name: str, samples: Samples, framing: Framing) -> None:
        self.name = name
        self.live = samples.live
        self._samples = samples
        self._framing = framing
        self._info = SamplesInfo(None, None)
        self._windower = Windower(framing.window, framing.hop, 0.0)
        self._rate = 0.0
        self._index = 0  # of the next item
        self._offset: float | None = None  # from the times of the samples to ours
        self._latest: float | None = None  # time of the latest sample
        self._round = 0  # samples since the recording began, or began again
        self._telling: list[NDArray[np.float64]] = []  # times by which the rate will be judged
        self._told = False  # why this round has no window
        self._patience = Patience(framing.stall_s, 0.0, 0.0)  # with what a live source sends
        self._held: deque[Block | Damage] = deque()  # read, and not yet cut
        self._items: deque[Frame | Broken] = deque()
        self._counts: Counter[str] = Counter()  # of the times that it was open before

    @property
    def notes(self) -> dict[str, int]:
        """What is worth telling beside the windows: `gaps`, `jittered_times`, `missing_samples`,
        and the kind's own. Any thread may ask."""
        now = self._counts + _counted(self._windower)
        return {**now, **{word: n for word, n in dict(self._samples.notes).items() if n}}

    def open(self) -> SourceInfo:
        """Raises UsageError when channels or rate are others than they must be."""
        framing = self._framing
        self._info = self._samples.open()
        self._begin()
        first = None if self.live else self._first_block()
        self._judge_channels(first)
        measured = None if first is None or first.times is None else rate_of(first.times)
        told = self._info.rate_hz or measured
        empty = first is None and not self.live
        self._rate = told or 1.0 if empty else self._judged_rate(told)
        self._counts, self._windower = (
            self._counts + _counted(self._windower),
            Windower(framing.window, framing.hop, 1 / self._rate),
        )
        span_s = framing.window / self._rate
        self._patience = Patience(framing.stall_s, span_s, time.monotonic())
        windows = None
        if self._info.samples is not None and not framing.loop:
            windows = max(0, (self._info.samples - framing.window) // framing.hop + 1)
        return SourceInfo(None, None, self._rate / framing.hop, windows)

    def read(self) -> Frame | Broken | None:
        """The next window; None at the end. Raises UsageError when the rate or the channels turn
        out wrong, SourceLost when nothing comes, or nothing of use."""
        while not self._items:
            block = self._held.popleft() if self._held else self._samples.read()
            if self.live:
                self._bear(block)
            if block is None:
                if not self._goes_on():
                    break
            elif isinstance(block, Damage):
                self._told |= block.fails
                self._items.append(self._broken(block.reason, counted=block.fails))
            else:
                self._cut(block)
        return self._items.popleft() if self._items else None

    def close(self) -> None:
        self._samples.close()

    # --- when it opens ---------------------------------------------------------------------------

    def _begin(self) -> None:
        self._offset, self._round = None, 0
        self._telling, self._held = [], deque()
        self._told = False

    def _first_block(self) -> Block | None:
        """Read a recording up to its first samples: they tell what it is like."""
        while (block := self._samples.read()) is not None:
            self._held.append(block)
            if isinstance(block, Block):
                return block
        return None

    def _judge_channels(self, first: Block | None) -> None:
        wanted = self._framing.channels
        there = self._info.channels if first is None else first.values.shape[1]
        if wanted is None or there is None or wanted == there:
            return
        names = f" ({', '.join(self._info.names)})" if self._info.names else ""
        raise UsageError(
            f"source {self.name} has {there} channel{'s' * (there != 1)}{names}, "
            f"the model wants {wanted}",
            self._how_to_choose(wanted, there),
        )

    def _how_to_choose(self, wanted: int, there: int) -> str:
        """What to type, where that is known."""
        if there < wanted:
            return f"record {wanted} channels, or use a model of {there}"
        if not self._info.names:
            return "choose with ?columns= or ?channels= in its uri"
        chosen = f"{self._info.choosing}{','.join(self._info.names[:wanted])}"
        return f'name {wanted} of them, as in "{chosen}"'

    def _judged_rate(self, found: float | None) -> float:
        """The rate that counts: the data's own, which must be about the stated one."""
        stated = self._framing.rate_hz
        if stated and found and abs(found / stated - 1) > RATE_TOLERANCE:
            raise UsageError(
                f"source {self.name} has {found:.6g} samples a second, "
                f"its rate_hz or its model says {stated:.6g}",
                "correct rate_hz, or record at the rate that the model was made for",
            )
        rate = found or stated or self._framing.assumed_hz
        if not rate:
            raise unknown_rate(self.name)
        return rate

    # --- what it delivers ------------------------------------------------------------------------

    def _bear(self, block: Block | Damage | None) -> None:
        """Nonsense is borne for as long as silence is."""
        now = time.monotonic()
        if isinstance(block, Block) and np.isfinite(block.values).any():
            self._patience.sample(now)
        why = self._patience.over(now)
        if why:
            said = f", only damage: {block.reason}" if isinstance(block, Damage) else ""
            raise SourceLost(f"source {self.name} {why}{said}", "look at what it sends")

    def _cut(self, block: Block) -> None:
        now, gaps = time.monotonic(), self._windower.gaps
        if self.live and not self._windower.samples:
            self._judge_channels(block)  # nobody knew them before
        if self.live:
            self._judge_live_rate(block)
        for found in self._windower.add(block.values, self._times(block), self._slack(block)):
            moment = found.time
            if self.live:  # the time at which it was taken, by this machine's clock
                moment = now - (self._windower.samples - 1 - found.last) / self._rate
            if isinstance(found, Spoilt):
                self._items.append(self._broken(found.reason, moment))
                self._patience.harm(1)
            else:
                self._items.append(
                    Frame(self.name, self._index, moment, found.values, self._info.file)
                )
                self._index += 1
                self._patience.window(now)
        self._patience.harm(self._windower.gaps - gaps)

    def _times(self, block: Block) -> NDArray[np.float64]:
        """When each sample was taken, on the source's own scale."""
        times = block.times
        if times is None:
            times = (self._round + np.arange(len(block.values))) / self._rate
        if self._offset is None:
            self._offset = self._start(float(times[0]))
        self._round += len(block.values)
        times = times + self._offset
        self._latest = float(times[-1])
        return times

    def _slack(self, block: Block) -> float:
        """How far the times of live samples may be off, in seconds: a clock is read late where much
        is to do. Of samples that share one reading half of their span, so that a lost block is a
        gap; of others a twentieth of a window, as much as may be missing in it."""
        if not self.live or block.times is None:
            return 0.0
        if block.stamped_once:
            return len(block.values) / 2 / self._rate
        return FILLED_AT_MOST * self._framing.window / self._rate

    def _start(self, first: float) -> float:
        """What to add to the times of a recording that begins, or begins again."""
        if self._latest is not None:
            return self._latest + 1 / self._rate - first
        if self._info.dated:
            return self._framing.origin - first if self._framing.origin else 0.0
        return self._framing.origin

    def _judge_live_rate(self, block: Block) -> None:
        """Once, when enough samples told their times; those that were counted on tell nothing."""
        if block.times is None or block.stamped_once:
            return
        if sum(map(len, self._telling)) < TELLING:
            self._telling.append(block.times)
            if sum(map(len, self._telling)) >= TELLING:
                times = np.concatenate(self._telling)
                self._judged_rate(rate_of(times, self._slack(block)))

    def _goes_on(self) -> bool:
        """At the end of the samples: whether there is more to come, if only a word about it. A
        recording without a window is not begun again: it would come to nothing without end."""
        if self._round < self._framing.window:
            if not self._told:
                there = f"{self._round} sample{'s are' if self._round != 1 else ' is'}"
                self._items.append(self._broken(f"{there} no window of {self._framing.window}"))
            self._told = True
            return bool(self._items)
        if not self._framing.loop:
            return False
        self._samples.close()
        self._info = self._samples.open()
        self._begin()
        self._windower.restart()
        return True

    def _broken(self, reason: str, moment: float | None = None, *, counted: bool = True) -> Broken:
        if moment is None:
            moment = time.monotonic() if self.live else self._latest or self._framing.origin
        index, self._index = self._index, self._index + counted
        return Broken(self.name, index, moment, self._info.file, reason, counted)


def _counted(windower: Windower) -> Counter[str]:
    return Counter(
        gaps=windower.gaps, jittered_times=windower.jitter, missing_samples=windower.missing
    )


class UnknownRate(UsageError):
    """Nothing tells the rate. Where it is said otherwise than in a configuration, whoever asks
    says how."""


def unknown_rate(name: str) -> UnknownRate:
    return UnknownRate(
        f"nothing says how many samples a second source {name} has",
        "write rate_hz beside its uri, as in rate_hz: 1000",
    )


def unreadable(name: str, path: Path, fault: OSError) -> UsageError:
    """Of a recording."""
    sentence = f"source {name}: {path} cannot be read: {fault.strerror}"
    return UsageError(sentence, "check its `uri`")
