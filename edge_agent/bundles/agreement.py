"""What a manifest says and what the model's own tensors say must be the same.

Pure. Checked once an engine has loaded the model, before anything runs on its numbers. How the
outputs are read is the decoders' affair (`pipeline/decode`); here is only what a person may have
got wrong in the bundle. Read `bundle.py` next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from edge_agent.bundles.manifest import AnyInput, ImageInput, Manifest, Quantization
from edge_agent.errors import Refused
from edge_agent.pipeline.features import Featurizer
from edge_agent.pipeline.quantize import describe
from edge_agent.types import TensorSpec


def check_input(name: str, wanted: AnyInput, tensor: TensorSpec) -> None:
    """Raises Refused where size, colour, layout, count of features or stated quantization is
    another."""
    if isinstance(wanted, ImageInput):
        _check_picture(name, wanted, tensor)
    else:
        Featurizer(wanted.spec(), tensor)
    _check_quantization(name, wanted.quantization, tensor)


def _check_picture(name: str, wanted: ImageInput, tensor: TensorSpec) -> None:
    width, height = wanted.size
    channels = 1 if wanted.color == "gray" else 3
    planes = wanted.layout == "nchw"
    shape = (1, channels, height, width) if planes else (1, height, width, channels)
    if tensor.shape != shape:
        raise Refused(
            f"model {name}: the manifest wants {list(shape)}, the input is {describe(tensor)}",
            "correct size, color or layout in manifest.yaml",
        )


def _check_quantization(name: str, stated: Quantization | None, tensor: TensorSpec) -> None:
    if stated is None:
        return
    scale, zero = (tensor.scales[0], tensor.zero_points[0]) if tensor.scales else (0.0, 0)
    if not math.isclose(stated.scale, scale, rel_tol=1e-4) or stated.zero_point != zero:
        raise Refused(
            f"model {name}: the manifest says scale {stated.scale:g} and zero point "
            f"{stated.zero_point}, the input {describe(tensor)} has {scale:.6g} and {zero}",
            "correct input.quantization in manifest.yaml, or remove it",
        )


def check_labels(manifest: Manifest, labels: Sequence[str], outputs: Sequence[TensorSpec]) -> None:
    """Raises Refused, with both numbers, where there are more or fewer labels than classes."""
    counts = class_counts(manifest.family, outputs)
    if labels and counts and len(labels) not in counts:
        likely = [count for count in counts if abs(count - counts[0]) <= 1]
        raise Refused(
            f"model {manifest.name} has {len(labels)} label{'s' * (len(labels) > 1)}, its output "
            f"{describe(outputs[0])} has {' or '.join(map(str, likely))} class"
            f"{'es' * (likely != [1])}",
            "give one label for each class, in the order of training",
        )


def check_operators(manifest: Manifest, operators: Iterable[str]) -> None:
    """Raises Refused where the manifest requires an operator that the model does not have."""
    absent = sorted(set(manifest.requires.ops) - set(operators))
    if absent:
        raise Refused(
            f"model {manifest.name}: the manifest requires the operator {absent[0]}, "
            f"which model.tflite does not have",
            "the bundle holds another model than its manifest describes; export it again",
        )


def class_counts(family: str, outputs: Sequence[TensorSpec]) -> tuple[int, ...]:
    """How many classes the only output can hold, the usual reading first; () if it does not say.

    A background at 0 may go unnamed. A YOLO candidate is 4 numbers for the box, in v5 and v7 one
    for objectness, then one for each class. A pose has a label for each key point.
    """
    if len(outputs) != 1:
        return ()
    shape = outputs[0].shape
    scores = family == "classification" or (family in ("fomo", "segmentation") and len(shape) == 4)
    if scores and shape and not (family == "segmentation" and shape[-1] == 1):
        return tuple(count for count in (shape[-1], shape[-1] - 1) if count > 0)
    if family == "pose" and len(shape) >= 3:
        return (shape[-2],)
    if family == "yolo" and len(shape) == 3:
        columns, rows = (shape[1] - 4, shape[1] - 5), (shape[2] - 4, shape[2] - 5)
        rows = rows if shape[2] == 5 else rows[::-1]
        usual = (*columns, *rows) if shape[1] < shape[2] else (*rows, *columns)
        return tuple(count for count in usual if count > 0)
    return ()
