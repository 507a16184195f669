"""The nouns: every value that travels between the rooms of the house.

Rules: frozen and slotted; no behaviour beyond what the value itself says; numpy only in
annotations, so that importing this file costs nothing. Read `ports.py` next.

Units everywhere: seconds (float), boxes `(x0, y0, x1, y1)` in 0..1 of the frame, scores in 0..1;
those of an anomaly may be any number from 0 on, those of a generic model any number at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from edge_agent.frozen import frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image: TypeAlias = NDArray[np.uint8]
    Array: TypeAlias = NDArray[Any]

Box: TypeAlias = tuple[float, float, float, float]
Point: TypeAlias = tuple[float, float]
Polygon: TypeAlias = tuple[Point, ...]
Number: TypeAlias = float | int | str | bool | None
Numbers: TypeAlias = Mapping[str, Number]


# --- what comes in -----------------------------------------------------------------------------


@frozen
class Frame:
    """One picture, or one window of a signal, with the moment it was taken (a window: ended).

    `data` of a picture is (height, width, 3) uint8 in BGR, of a window (samples, channels) float32
    in the sensor's own units. `index` counts every item of the source from 0, broken ones included.
    `time` is seconds since the epoch on a clock that never steps.

    A source that was told the rates of its pipelines makes pictures only of frames that keep one:
    `paced` holds those that this one keeps, and of a frame that keeps none `data` is empty. None:
    nobody chose.
    """

    source: str
    index: int
    time: float
    data: Array
    name: str = ""  # the file it came from, where there is one
    paced: tuple[float, ...] | None = None

    @property
    def seen(self) -> bool:
        """Whether there is a picture, or a window, to look at."""
        return self.paced is None or bool(self.paced)


@frozen
class Broken:
    """One item of a source that could not be read: counted as `failed`, never silently skipped.

    `counted` False: a stretch of a signal that harmed no window. It is told, and nothing else:
    no frame is missing, and the index is that of the next one.
    """

    source: str
    index: int
    time: float
    name: str
    reason: str
    counted: bool = True


@frozen
class SourceInfo:
    """What a source says of itself once it is open; None where it cannot know."""

    width: int | None
    height: int | None
    fps: float | None
    frames: int | None


class Skip(StrEnum):
    """Why a captured frame was not inferred; exactly one reason a frame (CONTRACT, ledger)."""

    RATE = "rate"  # sooner than max_fps allows
    MOTION = "motion"  # nothing moved
    STATIONARY = "stationary"  # only known objects that stand still
    PREDICTED = "predicted"  # the tracker's prediction was good enough
    THERMAL = "thermal"  # sooner than the operating point allows
    BUSY = "busy"  # a newer frame came while the worker was at another
    STALE = "stale"  # older than max_age_s when its turn came
    PAUSED = "paused"
    SCHEDULE = "schedule"
    QUALITY = "quality"  # black, covered or frozen picture
    SWAP = "swap"  # a model was being changed


@frozen
class Ledger:
    """The account of every frame: captured = inferred + sum(skipped) + failed + pending."""

    captured: int = 0
    inferred: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    pending: int = 0

    @property
    def balanced(self) -> bool:
        decided = self.inferred + sum(self.skipped.values()) + self.failed
        return self.captured == decided + self.pending


# --- models ------------------------------------------------------------------------------------

Family: TypeAlias = Literal[
    "classification", "ssd", "yolo", "fomo", "segmentation", "pose", "anomaly", "generic"
]


@frozen
class TensorSpec:
    """One input or output tensor as the model itself describes it.

    `real = (quantized - zero_points) * scales`; one scale for the tensor, or one per slice along
    `axis`. Empty `scales` mean that the tensor is not quantized.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str  # numpy's name: "uint8", "int8", "int16", "float32", "int64", ...
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0


@frozen
class InputSpec:
    """How a picture becomes the model's input: part of the model, not of the pipeline."""

    width: int
    height: int
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    #: real = (pixel - mean) / std per channel, pixel in 0..255; then quantized by the tensor's own
    #: parameters. None: the pixel itself (uint8 as is, int8 minus 128).
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: Literal["stretch", "letterbox", "crop"] = "stretch"
    interpolation: Literal["auto", "area", "linear", "nearest"] = "auto"
    pad: int = 114  # grey of the letterbox border


@frozen
class Features:
    """What is worked out of a window of samples before a model sees it; formulas in docs/models.md.

    `raw`: the samples themselves. `fft`: magnitudes of `n // 2 + 1` bins. `logmel`: energies of
    `mels` bands from `fmin` to `fmax` Hz. Spectra are taken every `hop` samples over `n` samples
    weighted by `window`; `log` takes their natural logarithm.
    """

    kind: Literal["raw", "fft", "logmel"] = "raw"
    n: int = 0
    hop: int = 0
    window: Literal["hann", "hamming", "none"] = "hann"
    log: bool = False
    mels: int = 0
    fmin: float = 0.0
    fmax: float = 0.0


@frozen
class SignalSpec:
    """How a window of samples becomes the model's input: part of the model.

    `window` and `hop` are samples, `rate_hz` None fits any rate. `mean` and `std` normalise the
    features, one number for all or one for each along the last axis; None: as they are.
    """

    window: int
    hop: int
    rate_hz: float | None = None
    channels: int = 1
    features: Features = Features()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@frozen
class ModelSpec:
    """Everything that preprocessing and decoding need to know about one model.

    `output` holds the family's own settings, already checked by `bundles` (their names are in
    docs/models.md). `labels[i]` names class i; without labels the label is the index.
    """

    name: str
    version: str
    family: Family
    sha256: str
    input: InputSpec | SignalSpec
    input_tensor: TensorSpec
    output_tensors: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    min_score: float
    output: Mapping[str, Any] = field(default_factory=dict)
    guessed: Numbers = field(default_factory=dict)


# --- what a frame becomes ----------------------------------------------------------------------


@frozen
class Detection:
    """One finding of a model. A classification is a detection whose box is the whole frame."""

    label: str
    score: float
    box: Box
    extra: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Track:
    """One object followed over frames; `box` is the last one seen or, between, predicted.

    `hits` counts the inferred frames that saw it; `speed` is the box centre's movement in
    frame widths/heights per second. `covers` is the part of the frame that its own pixels take,
    where the model tells them (segmentation).
    """

    id: int
    label: str
    box: Box
    score: float
    born: float
    seen: float
    hits: int
    speed: Point = (0.0, 0.0)
    visible: bool = True  # seen in the latest inferred frame
    stationary: bool = False
    covers: float | None = None

    @property
    def area(self) -> float:
        """Its part of the frame: of its own pixels, else of its box."""
        if self.covers is not None:
            return self.covers
        x0, y0, x1, y1 = self.box
        return (x1 - x0) * (y1 - y0)


@frozen
class Decision:
    """One line of `why`: a stage of the frame's way, its verdict and the numbers behind it."""

    stage: str  # gate, infer, score, area, mask, zone, line, confirm, dwell, count, absence, ...
    verdict: str
    numbers: Numbers = field(default_factory=dict)


class Priority(StrEnum):
    ALERT = "alert"  # published as it happens
    NOTICE = "notice"  # counted in summaries
    RECORD = "record"  # kept on the device, counted in summaries

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return list(Priority).index(self)


@frozen
class Event:
    """Something a person can act on. `closed` is None while it is open."""

    id: str  # 16 hex digits; see docs/decisions on ids
    pipeline: str
    source: str
    rule: str
    priority: Priority
    label: str | None
    zone: str | None
    text: str
    opened: float
    seen: float  # the last moment the condition held
    closed: float | None
    close_reason: str | None  # cleared, lost, crossed, ended, stopped, interrupted, storm
    score_max: float
    score_median: float
    track: int | None
    count: int
    box: Box | None
    frame: int  # index of the opening frame
    input: str | None = None  # the file, in replay
    evidence: tuple[Mapping[str, Any], ...] = ()
    decisions: tuple[Decision, ...] = ()
    advice: str | None = None


@frozen
class NearMiss:
    """The candidate that came closest to opening an event of a rule and did not."""

    rule: str
    time: float
    frame: int
    track: int | None
    label: str | None
    decisions: tuple[Decision, ...]  # the last one is where it stopped


@frozen
class Outcome:
    """Everything that one frame led to. `skip` is None when the frame was inferred."""

    frame: Frame
    skip: Skip | None
    gate: Decision
    detections: tuple[Detection, ...] = ()
    track_ids: tuple[int | None, ...] = ()  # per detection: the track it was matched to
    tracks: tuple[Track, ...] = ()
    opened: tuple[Event, ...] = ()
    closed: tuple[Event, ...] = ()
    misses: tuple[NearMiss, ...] = ()


@frozen
class OperatingPoint:
    """What the thermal governor allows at present. `max_fps` None: no limit of its own."""

    level: int = 0
    max_fps: float | None = None
    threads: int | None = None
    reason: str = "cool"


# --- what the board says of itself -------------------------------------------------------------


@frozen
class Reading:
    """What one temperature sensor says. `celsius` None: it gives no answer.

    `rank` 0 is at the cores themselves, 1 somewhere on the board, 2 nobody knows where.
    """

    sensor: str
    rank: int
    celsius: float | None


class Trouble(StrEnum):
    """Why a board is slower than it could be, in its own words."""

    UNDERVOLTAGE = "undervoltage"  # the supply or its cable is too weak
    OVERCURRENT = "overcurrent"  # more was drawn than the supply may give
    CAPPED = "capped"  # the clock is held down
    THROTTLED = "throttled"  # the hardware slows itself down by heat
    SOFT_LIMIT = "soft_limit"  # the firmware's own first limit of temperature


@frozen
class Throttling:
    """What holds now, and what held at any time since the board started.

    `counts` are the board's counters, which only grow; `told` is False where it says nothing.
    """

    now: frozenset[Trouble] = frozenset()
    since_boot: frozenset[Trouble] = frozenset()
    counts: Mapping[Trouble, int] = field(default_factory=dict)
    told: bool = False


# --- what leaves -------------------------------------------------------------------------------


@frozen
class Message:
    """One MQTT message. `seq` is None on unsequenced topics; `topic` is relative to the base."""

    seq: int | None
    id: str
    topic: str
    qos: int
    retain: bool
    time: float
    body: Mapping[str, Any]
    boot: int = 0
    clock: str = "synced"  # synced, unsynced, corrected
