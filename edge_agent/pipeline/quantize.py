"""Between real numbers and the integers of a quantized tensor, by the tensor's own parameters.

`real = (raw - zero_point) * scale`, one pair for the tensor or one per slice along its axis: the
affine scheme of TFLite (tensorflow.org/lite/performance/quantization_spec). A tensor without
scales holds its numbers as they are. Read `preprocess.py` next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.types import Array, TensorSpec


def quantize(real: Array, tensor: TensorSpec) -> Array:
    """Real numbers as the tensor stores them: its dtype, nearest (half to even), saturated.

    `real` has any shape when the tensor has one scale; with one scale per slice its axis
    `tensor.axis` has that length. Float tensors get the numbers as they are.
    """
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return real.astype(dtype, copy=False)
    scale, zero = _parameters(tensor, real.ndim)
    limits = np.iinfo(dtype)
    steps: Array = np.rint(real.astype(np.float64) / scale) + zero
    return steps.clip(limits.min, limits.max).astype(dtype)


def dequantize(raw: Array, tensor: TensorSpec) -> NDArray[np.float32]:
    """What the stored numbers mean. float32 passes through uncopied, float16 is widened.

    With one scale per slice, axis `tensor.axis` of `raw` has that length.
    """
    if raw.dtype.kind == "f" or not tensor.scales:
        return raw.astype(np.float32, copy=False)
    scale, zero = _parameters(tensor, raw.ndim)
    # Up to 16 bits float32 holds raw - zero exactly; wider integers need float64 until the end.
    exact = np.float32 if raw.dtype.itemsize <= 2 else np.float64
    real: Array = raw.astype(exact)
    real -= exact(zero)
    real *= exact(scale)
    return real.astype(np.float32, copy=False)


def least_raw(real: float, tensor: TensorSpec) -> float | int:
    """The smallest stored number that means at least `real`: a threshold for raw outputs.

    For every value v of the tensor, `v >= least_raw(real)` exactly when
    `float(dequantize(v)) >= real`; it is one past the largest value where none means that much.
    The tensor is a float one, or one of up to 16 bits with one scale.
    """
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        nearest = dtype.type(real)
        return float(
            np.nextafter(nearest, dtype.type(np.inf)) if float(nearest) < real else nearest
        )
    limits = np.iinfo(dtype)
    values = np.arange(limits.min, limits.max + 1).astype(dtype)
    return int(limits.min + np.searchsorted(dequantize(values, tensor), real))


def describe(tensor: TensorSpec) -> str:
    """The tensor as error messages name it: `'Identity' int8[1,5,756]`."""
    return f"'{tensor.name}' {tensor.dtype}[{','.join(map(str, tensor.shape))}]"


def _parameters(tensor: TensorSpec, dimensions: int) -> tuple[Any, Any]:
    """Scale and zero point: numbers, or arrays shaped for an array of so many dimensions."""
    if len(tensor.scales) == 1:
        return tensor.scales[0], tensor.zero_points[0]
    if not tensor.scales:
        return 1.0, 0
    shape = [1] * dimensions
    shape[tensor.axis] = -1
    return np.reshape(tensor.scales, shape), np.reshape(tensor.zero_points, shape)
