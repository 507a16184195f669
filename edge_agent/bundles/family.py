"""Which family a bare model is of, told from its operators and the shapes of its tensors.

Pure. A wrong family gives wrong findings, `generic` gives the plain numbers: so a family is named
only where little else has such a shape, and the person sees the guess and may say another. The
order matters: what is more particular comes first. Read `guess.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeAlias

from edge_agent.bundles.main_input import channels
from edge_agent.pipeline.decode import SCORES
from edge_agent.pipeline.decode.anomaly import reconstructs
from edge_agent.pipeline.decode.pose import COCO
from edge_agent.types import TensorSpec

SSD_OPERATOR = "TFLite_Detection_PostProcess"
#: Pixels between the centres of neighbouring cells, in the heads of YOLO.
_YOLO_STRIDES = (4, 8, 16, 32, 64)
#: Candidates to a cell: one in v8, three in v5.
_ANCHORS = (1, 2, 3)
#: A map of at least so many numbers to a cell is no picture, flow or normal vector.
_CLASSES = 5
#: A grey picture has at least so many rows and columns; a spectrum's features are fewer.
_LEAST_GREY = 16

#: Width and height.
Size: TypeAlias = tuple[int, int]


def tell_family(given: TensorSpec, outputs: Sequence[TensorSpec], operators: Sequence[str]) -> str:
    """`generic` where nothing is sure. `given` is the main input."""
    size = picture_size(given)
    if size is None:
        return _family_of_signal(given, outputs)
    if SSD_OPERATOR in operators or _looks_like_ssd([each.shape for each in outputs]):
        return "ssd"
    if len(outputs) != 1 or outputs[0].shape == given.shape:
        return "generic"
    softmax = "SOFTMAX" in operators
    looks: dict[str, Callable[[TensorSpec, Size], bool]] = {
        "classification": lambda output, _: _looks_like_classes(output),
        "pose": lambda output, _: _looks_like_pose(output),
        "segmentation": lambda output, size: _looks_like_segments(output, size, softmax),
        "fomo": lambda output, size: softmax and _looks_like_fomo(output, size),
        "yolo": _looks_like_yolo,
    }
    return next((name for name, alike in looks.items() if alike(outputs[0], size)), "generic")


def picture_size(tensor: TensorSpec) -> Size | None:
    """Width and height of the picture that a tensor holds; None where it holds none."""
    found = channels(tensor)
    if found is None:
        return None
    height, width = tensor.shape[1:3] if found[0] == "nhwc" else tensor.shape[2:4]
    if found[1] == 1 and min(width, height) < _LEAST_GREY:
        return None
    return width, height


def _family_of_signal(given: TensorSpec, outputs: Sequence[TensorSpec]) -> str:
    if len(outputs) == 1 and reconstructs(outputs[0], given):
        return "anomaly"
    if len(outputs) == 1 and _looks_like_classes(outputs[0]):
        return "classification"
    return "generic"


def _looks_like_ssd(shapes: list[tuple[int, ...]]) -> bool:
    return len(shapes) >= 4 and any(len(shape) == 3 and shape[-1] == 4 for shape in shapes)


def _looks_like_classes(output: TensorSpec) -> bool:
    """[1, N], [1, 1, N] or [1, 1, 1, N]."""
    *ones, classes = output.shape or (0,)
    return output.dtype in SCORES and 1 <= len(ones) <= 3 and set(ones) == {1} and classes > 1


def _looks_like_pose(output: TensorSpec) -> bool:
    """[1, 1, 17, 3] or [1, 17, 3]: other numbers of key points could be anything."""
    return output.dtype in SCORES and output.shape in ((1, 1, len(COCO), 3), (1, len(COCO), 3))


def _looks_like_segments(output: TensorSpec, size: Size, softmax: bool) -> bool:
    """Whole numbers in a grid over the picture, or scores of many classes to every pixel or nearly.

    Few numbers to a pixel may be colours or a flow: then only a softmax tells that they are scores.
    """
    stride = _stride(output, size)
    if len(output.shape) == 3 or output.shape[3:] == (1,):
        whole = output.dtype.startswith(("int", "uint")) and not output.scales
        return whole and stride is not None and stride <= 16
    if output.dtype not in SCORES or len(output.shape) != 4 or stride is None:
        return False
    return stride <= 4 and (softmax or (stride == 1 and output.shape[3] >= _CLASSES))


def _looks_like_fomo(output: TensorSpec, size: Size) -> bool:
    """A grid of cells of exactly 8 or 16 pixels with a score for background and each class."""
    cells = len(output.shape) == 4 and output.dtype in SCORES and _stride(output, size) in (8, 16)
    return cells and output.shape[3] >= 2


def _looks_like_yolo(output: TensorSpec, size: Size) -> bool:
    """[1, N, C] or [1, C, N] with C >= 5, where N is the number of cells in YOLO's grids."""
    if len(output.shape) != 3 or output.shape[0] != 1 or output.dtype not in SCORES:
        return False
    numbers, candidates = sorted(output.shape[1:])
    if numbers < 5 or numbers == candidates:
        return False
    grids = [-(-size[0] // stride) * -(-size[1] // stride) for stride in _YOLO_STRIDES]
    runs = [sum(grids[a:b]) for a, b in combinations(range(len(grids) + 1), 2)]
    return any(candidates == cells * anchors for cells in runs for anchors in _ANCHORS)


def _stride(output: TensorSpec, size: Size) -> int | None:
    """Pixels to a cell of a map [1, h, w, ...], where that is a whole number, alike both ways."""
    if len(output.shape) < 3 or output.shape[0] != 1 or min(output.shape) < 1:
        return None
    high, wide = output.shape[1:3]
    stride, rest = divmod(size[0], wide)
    return stride if stride and not rest and size[1] == stride * high else None
