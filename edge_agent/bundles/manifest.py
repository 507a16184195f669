"""The manifest: what a model bundle says of its model.

Rules: an unknown key is a mistake; what the manifest does not say, the model's own tensors do; each
family has its own `output` settings. Every key is described in docs/models.md, which a test holds
to this file. Read `manifest_file.py` next.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    field_validator,
    model_validator,
)

from edge_agent.types import Family, Features, InputSpec, SignalSpec

NAME_LENGTH = 60


def _matching(pattern: str, said: str) -> AfterValidator:
    """Text of that pattern; Python's `\\w` has the letters of every script."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(said)
        return text

    return AfterValidator(check)


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
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
#: Where every finding counts: anomalies and raw tensors have scores of their own kind.
Nought = Annotated[float, Field(ge=0.0, le=0.0)]
Positive = Annotated[int, Field(gt=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    """What pydantic makes of a class is built when a manifest is first held against it. A default
    is constructed, which needs none of it: one of a family does not build the other seven.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


# --- what goes in ------------------------------------------------------------------------------


class Normalize(_Strict):
    """real = (pixel - mean) / std, a value per channel or one for all."""

    mean: tuple[Finite, ...]
    std: tuple[Finite, ...]


class Quantization(_Strict):
    """Stated only to be held against the model's own parameters."""

    scale: Finite
    zero_point: int


class ImageInput(_Strict):
    kind: Literal["image"]
    size: tuple[Positive, Positive]  # width, height
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    normalize: Literal["none"] | Normalize = "none"
    resize: Literal["stretch", "letterbox", "crop"] = "stretch"
    interpolation: Literal["auto", "area", "linear", "nearest"] = "auto"
    pad: Annotated[int, Field(ge=0, le=255)] = 114
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


class Fft(_Strict):
    """Magnitudes of spectra; `hop` from one to the next, by default side by side."""

    n: Annotated[int, Field(ge=2)]
    hop: Positive | None = None
    window: Literal["hann", "hamming", "none"] = "hann"
    log: bool = False


class Logmel(_Strict):
    """Energies in mel bands; `fmax` is half the rate by default."""

    n_fft: Annotated[int, Field(ge=2)]
    hop: Positive | None = None
    mels: Positive
    fmin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    fmax: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    window: Literal["hann", "hamming", "none"] = "hann"
    log: bool = True


class FftFeatures(_Strict):
    fft: Fft


class LogmelFeatures(_Strict):
    logmel: Logmel


class SignalInput(_Strict):
    kind: Literal["signal"]
    window: Positive  # samples
    hop: Positive | None = None
    rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    channels: Positive = 1
    features: Literal["raw"] | FftFeatures | LogmelFeatures = "raw"
    normalize: Literal["none"] | Normalize = "none"
    quantization: Quantization | None = None

    @model_validator(mode="after")
    def _mel_has_a_rate(self) -> Self:
        if isinstance(self.features, LogmelFeatures) and self.rate_hz is None:
            raise ValueError("mel bands need the rate of the samples, write rate_hz")
        return self

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


AnyInput: TypeAlias = Annotated[ImageInput | SignalInput, Field(discriminator="kind")]

# --- what comes out: the settings of pipeline/decode/<family>.py ---------------------------------


class ClassificationOutput(_Strict):
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"
    background: Literal["auto"] | bool = "auto"
    top: Annotated[int, Field(ge=1, le=1000)] = 5


class YoloOutput(_Strict):
    head: Literal["auto", "rows", "columns"] = "auto"
    objectness: Literal["auto"] | bool = "auto"
    boxes: Literal["auto", "normalized", "pixel"] = "auto"
    iou: Fraction = 0.45


class SsdOutput(_Strict):
    order: tuple[Literal["boxes", "classes", "scores", "count"], ...] = ()
    background: Literal["auto"] | bool = "auto"

    @field_validator("order")
    @classmethod
    def _complete(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if order and (len(set(order)) != len(order) or {"boxes", "classes", "scores"} - set(order)):
            raise ValueError("boxes, classes and scores must each stand there once")
        return order


class FomoOutput(_Strict):
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"


class SegmentationOutput(_Strict):
    background: Literal["auto"] | bool = "auto"


class AnomalyOutput(_Strict):
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


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


class Requires(_Strict):
    agent: AtLeast = ">=0.1"
    ops: tuple[str, ...] = ()
    memory_mb: Positive | None = None


class Budget(_Strict):
    invoke_ms_p95: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


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
    requires: Requires = Requires.model_construct()
    budget: Budget = Budget.model_construct()
    license: str = ""
    source: str = ""


class ClassificationManifest(Manifest):
    family: Literal["classification"]
    output: ClassificationOutput = ClassificationOutput.model_construct()


class YoloManifest(Manifest):
    family: Literal["yolo"]
    input: ImageInput
    output: YoloOutput = YoloOutput.model_construct()


class SsdManifest(Manifest):
    family: Literal["ssd"]
    input: ImageInput
    output: SsdOutput = SsdOutput.model_construct()


class FomoManifest(Manifest):
    family: Literal["fomo"]
    input: ImageInput
    output: FomoOutput = FomoOutput.model_construct()


class SegmentationManifest(Manifest):
    family: Literal["segmentation"]
    input: ImageInput
    output: SegmentationOutput = SegmentationOutput.model_construct()


class PoseManifest(Manifest):
    family: Literal["pose"]
    input: ImageInput
    output: PlainOutput = PlainOutput.model_construct()


class AnomalyManifest(Manifest):
    family: Literal["anomaly"]
    output: AnomalyOutput = AnomalyOutput.model_construct()
    min_score: Nought = 0.0


class GenericManifest(Manifest):
    family: Literal["generic"]
    output: PlainOutput = PlainOutput.model_construct()
    min_score: Nought = 0.0


OfFamily: TypeAlias = (
    ClassificationManifest
    | YoloManifest
    | SsdManifest
    | FomoManifest
    | SegmentationManifest
    | PoseManifest
    | AnomalyManifest
    | GenericManifest
)
_BY_FAMILY: dict[str, type[Manifest]] = {
    get_args(kind.model_fields["family"].annotation)[0]: kind for kind in get_args(OfFamily)
}


def as_manifest(data: Any) -> Manifest:
    """Raises ValidationError."""
    family = data.get("family") if isinstance(data, Mapping) else None
    kind = _BY_FAMILY.get(family) if isinstance(family, str) else None
    if kind is not None:
        return kind.model_validate(data)
    # It fails, and says what was expected: all of the families.
    every: TypeAdapter[OfFamily] = TypeAdapter(Annotated[OfFamily, Field(discriminator="family")])
    return every.validate_python(data)
