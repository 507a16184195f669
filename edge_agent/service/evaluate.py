"""A model against the truth: `models eval`, for one model or for two on the same inputs.

The model sees and answers as `infer` does; what its answers are worth, `judging.py` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_agent.bundles.anatomy import dissect, model_bytes
from edge_agent.bundles.bundle import Bundle, sha256_of
from edge_agent.bundles.find import Kind, locate
from edge_agent.bundles.guess import NO_WISH
from edge_agent.bundles.main_input import main_input
from edge_agent.bundles.manifest import ImageInput, Normalize, Requires
from edge_agent.config.wording import did_you_mean, printable
from edge_agent.errors import EdgeError, UsageError
from edge_agent.frozen import frozen
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.ports import Source
from edge_agent.service.inference import inference
from edge_agent.service.input import open_input
from edge_agent.service.judging import DIGITS, Answer, judge
from edge_agent.service.models import Demand, Opened, open_first
from edge_agent.service.trial import open_offered
from edge_agent.service.truth import Case
from edge_agent.sources.built_in import SCHEME
from edge_agent.sources.images import read_picture
from edge_agent.sources.mask import mask_of
from edge_agent.sources.recordings import open_windows
from edge_agent.types import Broken, Frame, InputSpec, ModelSpec, SignalSpec, TensorSpec

JUDGED = ("classification", "ssd", "yolo", "fomo", "segmentation", "pose", "anomaly")


@frozen
class Evaluation:
    """What one model came to. `headline` are the numbers that two models are compared by."""

    opened: Opened
    items: int  # pictures or windows that were judged
    metrics: Mapping[str, Any]
    unread: tuple[str, ...]  # a sentence for each file that could not be read

    @property
    def headline(self) -> dict[str, float | None]:
        names = ("accuracy", "mean_iou", "f1", "precision", "recall", "auc")
        return {name: self.metrics[name] for name in names if name in self.metrics}


def offered(name: str, state: Path) -> Bundle:
    """The model that a person names: a bundle's name, folder or .tar, or a bare .tflite.

    Raises UsageError when there is none, or where nothing here tells right from wrong; Refused.
    """
    bundle = open_offered(locate(name, state, Path()), NO_WISH, Demand().plans(state, ""))
    family = bundle.manifest.family
    if family not in JUDGED:
        raise UsageError(
            f"model {bundle.name} is of family {family}, which is not judged",
            f"models eval judges {', '.join(JUDGED)}",
        )
    return bundle


def twin(bundle: Bundle, other: str, state: Path) -> Bundle:
    """The other model of a comparison: a bundle, or a bare .tflite to which the manifest of the
    first applies, such as the same network before int8. Raises UsageError, Refused."""
    place = locate(other, state, Path())
    if place.kind is not Kind.BARE:
        found = place.open()
        if found.manifest.family != bundle.manifest.family:
            raise UsageError(
                f"model {found.name} is of family {found.manifest.family}, {bundle.name} of "
                f"{bundle.manifest.family}",
                "compare models of one family",
            )
        return found
    ours, theirs = _frames_input(bundle.model), _frames_input(place.path)
    wanted = replace(bundle.manifest.input, quantization=None)
    stored = isinstance(wanted, ImageInput) and wanted.normalize == "none"
    if stored and ours and theirs and ours.scales and not theirs.scales:
        wanted = replace(wanted, normalize=_in_real_numbers(ours))
    manifest = replace(
        bundle.manifest, sha256=sha256_of(place.path), requires=Requires(), input=wanted
    )
    return replace(bundle, model=place.path, manifest=manifest, shipped=False)


def _frames_input(model: Path) -> TensorSpec | None:
    """What a frame goes into; None where only a loaded model tells."""
    anatomy = dissect(model_bytes(model), model.name)
    return main_input(anatomy.inputs, anatomy.outputs)


def _in_real_numbers(tensor: TensorSpec) -> Normalize:
    """What `normalize: none` means in front of the same network in floats: the stored number is
    the pixel (int8: less 128), and the float network wants what that number stands for."""
    mean = tensor.zero_points[0] + (128 if tensor.dtype == "int8" else 0)
    return Normalize(mean=(float(mean),), std=(1 / tensor.scales[0],))


def evaluate(bundle: Bundle, cases: Sequence[Case], state: Path) -> Evaluation:
    """Ask a model about every case. Raises UsageError, Refused, EdgeError where nothing could be
    judged."""
    opened = open_first(bundle, Demand().plans(state, bundle.manifest.sha256), state)
    _judge_labels(cases, opened.spec)
    unread: list[str] = []
    items, metrics = judge(_answers(opened, cases, unread), opened.spec)
    if not items:
        raise EdgeError(unread[0] if unread else "no window lies within a stretch of the truth")
    return Evaluation(opened, items, metrics, tuple(unread))


def evaluation_document(first: Evaluation, second: Evaluation | None) -> dict[str, Any]:
    """`evaluation/1`."""
    return {
        "schema": "evaluation/1",
        "family": first.opened.spec.family,
        **_judged(first),
        "unread": list(first.unread),
        "against": None if second is None else _judged(second),
        "delta": None if second is None else delta(first, second),
    }


def delta(first: Evaluation, second: Evaluation) -> dict[str, float | None]:
    """How much better the first is than the second; None where one of them does not say."""
    theirs = second.headline
    return {
        name: None if None in (value, theirs[name]) else round(value - theirs[name], DIGITS)  # type: ignore[operator]
        for name, value in first.headline.items()
    }


def _judge_labels(cases: Sequence[Case], spec: ModelSpec) -> None:
    """A label that the model does not know would be a miss, and is a mistake of the truth's.

    Raises UsageError before hours of work."""
    labels = spec.labels or (COCO if spec.family == "pose" else ())
    for case in cases:
        boxes = case.boxes or ()
        for label in (case.label, *(label for label, _ in boxes)):
            if label is None or label in labels or (not labels and label.isdecimal()):
                continue
            shown = f"{', '.join(labels[:8])}{', ...' if len(labels) > 8 else ''}"
            raise UsageError(
                f"line {case.line} of the truth: {printable(label)!r} is no label of {spec.name}"
                f"{did_you_mean(label, labels)}",
                f"its labels: {shown or 'the indices of its classes, 0, 1, ...'}",
            )


# --- asking ------------------------------------------------------------------------------------


def _answers(opened: Opened, cases: Sequence[Case], unread: list[str]) -> Iterator[Answer]:
    if opened.spec.family == "classification":  # the best class, whatever it scores
        opened = replace(opened, spec=replace(opened.spec, min_score=0.0))
    ask = inference(opened, drawn=opened.spec.family == "segmentation")
    for case in cases:
        opened.engine.reset()
        for item, covered in _frames(case.file, opened.spec.input):
            if isinstance(item, Broken):
                if item.counted:
                    unread.append(f"{case.file}: {item.reason}")
            else:
                try:
                    mask = None if case.mask is None else mask_of(case.mask, item.data)
                except UsageError as fault:
                    unread.append(fault.message)
                else:
                    yield Answer(case, covered, ask(case.file, item.data), mask)


def _frames(
    file: str, wanted: InputSpec | SignalSpec
) -> Iterator[tuple[Frame | Broken, tuple[float, float]]]:
    """The picture, or every window of the signal, with the seconds (from, to) that it covers."""
    nowhere = Broken("eval", 0, 0.0, file, "")
    if isinstance(wanted, InputSpec):
        yield read_picture(Path(file), nowhere), (0.0, 0.0)
        return
    source = _recording(file, wanted)
    try:
        windows_a_second = source.open().fps or 1.0
        lasts, begins = wanted.window / (windows_a_second * wanted.hop), None
        while (item := source.read()) is not None:
            begins = item.time - lasts if begins is None else begins
            yield item, (item.time - lasts - begins, item.time - begins)
    except UsageError as fault:  # this file alone: the others are judged
        yield replace(nowhere, reason=fault.message), (0.0, 0.0)
    finally:
        source.close()


def _recording(file: str, wanted: SignalSpec) -> Source:
    if file.startswith(SCHEME):
        return open_input(file, 0.0, None, wanted)
    return open_windows(Path(file), wanted)


def _judged(evaluation: Evaluation) -> dict[str, Any]:
    spec = evaluation.opened.spec
    return {
        "model": spec.name,
        "version": spec.version,
        "sha256": spec.sha256,
        "input": evaluation.opened.spec.input_tensor.dtype,
        "engine": evaluation.opened.engine.name,
        "items": evaluation.items,
        "metrics": dict(evaluation.metrics),
    }
