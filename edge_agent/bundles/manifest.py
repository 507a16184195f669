"""The manifest: what a model bundle says of its model.

Rules: an unknown key is a mistake; what the manifest does not say, the model's own tensors do; each
family has its own `output` settings. Every key is described in docs/models.md, which a test holds
to this file. Read `manifest_file.py` next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from edge_agent.config.annotations import BY_KIND, Check, after, bounds
from edge_agent.config.known import part_of
from edge_agent.config.part import Part
from edge_agent.frozen import frozen_by_name
from edge_agent.types import Family, Features, InputSpec, SignalSpec

NAME_LENGTH = 60


def _matching(pattern: str, said: str) -> Check:
    """Text of that pattern; Python's `\\w` has the letters of every script."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(said)
        return text

    return after(check)


#: Names and versions become folders.
Name = Annotated[
    str,
    _matching(
        rf"\w[\w.-]{{0,{NAME_LENGTH - 1}}}",
        f"a name has up to {NAME_LENGTH} letters, digits, `_`, `.` and `-`",
    ),
]
Version = Annotated[
    str,
    _matching(r"\w[\w.+-]{0,31}", 'a version is text such as "1.2", without spaces and slashes'),
]
AtLeast = Annotated[str, _matching(r">=\d+(\.\d+){0,2}", 'it is written ">=0.1"')]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "a SHA-256 has 64 hex digits, small letters")]
Fraction = Annotated[float, bounds(ge=0.0, le=1.0)]
#: Where every finding counts: anomalies and raw tensors have scores of their own kind.
Nought = Annotated[float, bounds(ge=0.0, le=0.0)]
Positive = Annotated[int, bounds(gt=0)]
Finite = Annotated[float, bounds(allow_inf_nan=False)]


@frozen_by_name
class _Strict(Part):
    """Numbers may be written as text, and whole numbers as numbers with a point."""

    READ: ClassVar[Mapping[str, Any]] = {"frozen": True, "extra": "forbid"}


# --- what goes in ------------------------------------------------------------------------------


@frozen_by_name
class Normalize(_Strict):
    """real = (pixel - mean) / std, a value per channel or one for all."""

    mean: tuple[Finite, ...]
    std: tuple[Finite, ...]


@frozen_by_name
class Quantization(_Strict):
    """Stated only to be held against the model's own parameters."""

    scale: Finite
    zero_point: int


@frozen_by_name
class ImageInput(_Strict):
    kind: Literal["image"]
    size: tuple[Positive, Positive]  # width, height
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    normalize: Literal["none"] | Normalize = "none"
    resize: Literal["stretch", "letterbox", "crop"] = "stretch"
    interpolation: Literal["auto", "area", "linear", "nearest"] = "auto"
    pad: Annotated[int, bounds(ge=0, le=255)] = 114
    quantization: Quantization | None = None

    def spec(self) -> InputSpec:
        mean = std = None
        if isinstance(self.normalize, Normalize):
            mean, std = self.normalize.mean, self.normalize.std
        return InputSpec(
            width=self.size[0],
            height=self.size[1],
            color=self.color,
            layout=self.layout,
            mean=mean,
            std=std,
            resize=self.resize,
            interpolation=self.interpolation,
            pad=self.pad,
        )


@frozen_by_name
class Fft(_Strict):
    """Magnitudes of spectra; `hop` from one to the next, by default side by side."""

    n: Annotated[int, bounds(ge=2)]
    hop: Positive | None = None
    window: Literal["hann", "hamming", "none"] = "hann"
    log: bool = False


@frozen_by_name
class Logmel(_Strict):
    """Energies in mel bands; `fmax` is half the rate by default."""

    n_fft: Annotated[int, bounds(ge=2)]
    hop: Positive | None = None
    mels: Positive
    fmin: Annotated[float, bounds(ge=0, allow_inf_nan=False)] = 0.0
    fmax: Annotated[float, bounds(gt=0, allow_inf_nan=False)] | None = None
    window: Literal["hann", "hamming", "none"] = "hann"
    log: bool = True


@frozen_by_name
class FftFeatures(_Strict):
    fft: Fft


@frozen_by_name
class LogmelFeatures(_Strict):
    logmel: Logmel


@frozen_by_name
class SignalInput(_Strict):
    kind: Literal["signal"]
    window: Positive  # samples
    hop: Positive | None = None
    rate_hz: Annotated[float, bounds(gt=0, allow_inf_nan=False)] | None = None
    channels: Positive = 1
    features: Literal["raw"] | FftFeatures | LogmelFeatures = "raw"
    normalize: Literal["none"] | Normalize = "none"
    quantization: Quantization | None = None

    def fault(self) -> str | None:
        if isinstance(self.features, LogmelFeatures) and self.rate_hz is None:
            return "mel bands need the rate of the samples, write rate_hz"
        return None

    def spec(self) -> SignalSpec:
        mean = std = None
        if isinstance(self.normalize, Normalize):
            mean, std = self.normalize.mean, self.normalize.std
        return SignalSpec(
            window=self.window,
            hop=self.hop or self.window,
            rate_hz=self.rate_hz,
            channels=self.channels,
            features=self._features(),
            mean=mean,
            std=std,
        )

    def _features(self) -> Features:
        match self.features:
            case FftFeatures(fft=fft):
                return Features("fft", fft.n, fft.hop or fft.n, fft.window, fft.log)
            case LogmelFeatures(logmel=mel):
                fmax = mel.fmax or (self.rate_hz or 0.0) / 2
                hop = mel.hop or mel.n_fft
                return Features(
                    "logmel", mel.n_fft, hop, mel.window, mel.log, mel.mels, mel.fmin, fmax
                )
            case _:
                return Features()


AnyInput: TypeAlias = Annotated[ImageInput | SignalInput, BY_KIND]

# --- what comes out: the settings of pipeline/decode/<family>.py ---------------------------------


@frozen_by_name
class ClassificationOutput(_Strict):
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"
    background: Literal["auto"] | bool = "auto"
    top: Annotated[int, bounds(ge=1, le=1000)] = 5


@frozen_by_name
class YoloOutput(_Strict):
    head: Literal["auto", "rows", "columns"] = "auto"
    objectness: Literal["auto"] | bool = "auto"
    boxes: Literal["auto", "normalized", "pixel"] = "auto"
    iou: Fraction = 0.45


def _complete(order: tuple[str, ...]) -> tuple[str, ...]:
    if order and (len(set(order)) != len(order) or {"boxes", "classes", "scores"} - set(order)):
        raise ValueError("boxes, classes and scores must each stand there once")
    return order


@frozen_by_name
class SsdOutput(_Strict):
    order: Annotated[
        tuple[Literal["boxes", "classes", "scores", "count"], ...], after(_complete)
    ] = ()
    background: Literal["auto"] | bool = "auto"


@frozen_by_name
class FomoOutput(_Strict):
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"


@frozen_by_name
class SegmentationOutput(_Strict):
    background: Literal["auto"] | bool = "auto"


@frozen_by_name
class AnomalyOutput(_Strict):
    threshold: Annotated[float, bounds(ge=0, allow_inf_nan=False)] | None = None


@frozen_by_name
class PlainOutput(_Strict):
    """Of the families whose outputs say everything themselves."""


AnyOutput: TypeAlias = (
    ClassificationOutput
    | YoloOutput
    | SsdOutput
    | FomoOutput
    | SegmentationOutput
    | AnomalyOutput
    | PlainOutput
)


# --- the whole ---------------------------------------------------------------------------------


@frozen_by_name
class Requires(_Strict):
    agent: AtLeast = ">=0.1"
    ops: tuple[str, ...] = ()
    memory_mb: Positive | None = None


@frozen_by_name
class Budget(_Strict):
    invoke_ms_p95: Annotated[float, bounds(gt=0, allow_inf_nan=False)] | None = None


@frozen_by_name
class Manifest(_Strict):
    """`manifest.yaml` of a bundle; one subclass for each family."""

    name: Name
    version: Version
    family: Family
    input: AnyInput
    output: AnyOutput
    labels: str | tuple[str, ...] = "labels.txt"
    min_score: Fraction
    sha256: Sha256
    requires: Requires = field(default_factory=Requires)
    budget: Budget = field(default_factory=Budget)
    license: str = ""
    source: str = ""


@frozen_by_name
class ClassificationManifest(Manifest):
    family: Literal["classification"]
    output: ClassificationOutput = field(default_factory=ClassificationOutput)


@frozen_by_name
class YoloManifest(Manifest):
    family: Literal["yolo"]
    input: ImageInput
    output: YoloOutput = field(default_factory=YoloOutput)


@frozen_by_name
class SsdManifest(Manifest):
    family: Literal["ssd"]
    input: ImageInput
    output: SsdOutput = field(default_factory=SsdOutput)


@frozen_by_name
class FomoManifest(Manifest):
    family: Literal["fomo"]
    input: ImageInput
    output: FomoOutput = field(default_factory=FomoOutput)


@frozen_by_name
class SegmentationManifest(Manifest):
    family: Literal["segmentation"]
    input: ImageInput
    output: SegmentationOutput = field(default_factory=SegmentationOutput)


@frozen_by_name
class PoseManifest(Manifest):
    family: Literal["pose"]
    input: ImageInput
    output: PlainOutput = field(default_factory=PlainOutput)


@frozen_by_name
class AnomalyManifest(Manifest):
    family: Literal["anomaly"]
    output: AnomalyOutput = field(default_factory=AnomalyOutput)
    min_score: Nought = 0.0


@frozen_by_name
class GenericManifest(Manifest):
    family: Literal["generic"]
    output: PlainOutput = field(default_factory=PlainOutput)
    min_score: Nought = 0.0


BY_FAMILY: Mapping[str, type[Manifest]] = {
    "classification": ClassificationManifest,
    "yolo": YoloManifest,
    "ssd": SsdManifest,
    "fomo": FomoManifest,
    "segmentation": SegmentationManifest,
    "pose": PoseManifest,
    "anomaly": AnomalyManifest,
    "generic": GenericManifest,
}


def as_manifest(data: Any) -> Manifest:
    """Raises Invalid."""
    family = data.get("family") if isinstance(data, Mapping) else None
    kind = BY_FAMILY.get(family) if isinstance(family, str) else None
    if kind is not None:
        return part_of(kind, data)
    from edge_agent.config.judging import judge

    # It fails, and says what was expected: all of the families.
    every: Any = reduce(or_, BY_FAMILY.values())
    found: Manifest = judge(Annotated[every, bounds(discriminator="family")], data, {})
    return found
