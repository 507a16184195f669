"""What stands in front of a model: a picture is preprocessed, a signal's window gets its features.

Pure. The one place that knows which of the two a model wants. Read `preprocess.py` or
`features.py` next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edge_agent.pipeline.features import Featurizer
from edge_agent.pipeline.preprocess import Prepared, Preprocessor
from edge_agent.types import SignalSpec

if TYPE_CHECKING:
    from edge_agent.types import Array, InputSpec, ModelSpec

#: `Frame.data` to the model's tensor; keeps no state, and threads may share it.
Preparer: TypeAlias = Callable[["Array"], Prepared]

#: Plain grey, in a camera's shape.
_GREY = (480, 640, 3)


def preparer(model: ModelSpec) -> Preparer:
    """Raises Refused when the model's tensor cannot hold what its input is said to be."""
    if isinstance(model.input, SignalSpec):
        return Featurizer(model.input, model.input_tensor)
    return Preprocessor(model.input, model.input_tensor)


def blank(wanted: InputSpec | SignalSpec) -> Array:
    """A frame without content for a model to be tried on: a grey picture, or silence."""
    if isinstance(wanted, SignalSpec):
        return np.zeros((wanted.window, wanted.channels), np.float32)
    return np.full(_GREY, 128, np.uint8)
