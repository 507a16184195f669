"""Which part ended the agent again and again, judged by what it was at each time it ended.

Rules: only a series counts, of ends that followed one another without a run in between that held
for `SETTLED_S`. After `SERIES` of them the part that was at hand in every one is to blame: the same
frame, where the model had answered to others before it; else the same model; else a configuration
that is not the one that held before. Nothing in common: nobody is blamed, and it is started anew.
Pure. `service/marker.py` keeps the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from edge_agent.frozen import frozen

SERIES = 3
#: A run that held for so long ends a series.
SETTLED_S = 600.0

Kind: TypeAlias = Literal["frame", "model", "config"]


@frozen
class Hand:
    """What a pipeline was at: its model, and the frame by its fingerprint (None: loading).

    `answered`: the model had inferred other frames in the same run.
    """

    pipeline: str
    model: str  # sha256
    frame: int | None = None
    answered: bool = False


@frozen
class End:
    """An end that nobody asked for."""

    config: str  # sha256 of the file
    hands: tuple[Hand, ...] = ()


@frozen
class Blame:
    """`what` is the sha256 of a model or a configuration, or the fingerprint of a frame."""

    kind: Kind
    pipeline: str  # "" for a configuration
    what: str


def blame(ends: Sequence[End], good: str | None) -> Blame | None:
    """`good` is the sha256 of the configuration that held last; None when none ever did."""
    series = ends[-SERIES:]
    if len(series) < SERIES or len({end.config for end in series}) > 1:
        return None
    every = [set(end.hands) for end in series]
    for hand in series[-1].hands:
        if hand.frame is not None and hand.answered and all(hand in hands for hands in every):
            return Blame("frame", hand.pipeline, str(hand.frame))
    models = [{(hand.pipeline, hand.model) for hand in hands} for hands in every]
    for hand in series[-1].hands:
        if all((hand.pipeline, hand.model) in found for found in models):
            return Blame("model", hand.pipeline, hand.model)
    config = series[-1].config
    return Blame("config", "", config) if good is not None and config != good else None
