"""How far the agent's own time is from the true one, and what that makes of a message.

Pure. The agent counts by a clock that never steps; a `Correction` is what to add to it where a time
is written for others. Rules: it comes from a wall clock that a time server keeps, never from one
that is merely set; once heard, the agent's own seconds go on from there, whatever the wall clock
does without a server. docs/decisions/0002-time.md says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.documents import parse_rfc3339, rfc3339
from edge_agent.types import Message

#: A time server's wall clock that moved by less is the same clock: it is being steered.
STEP_S = 0.5
#: Where the data of a message bears times, by topic.
TIMES: Mapping[str, tuple[str, ...]] = {"alert": ("opened", "closed"), "summary": ("from", "to")}


@frozen
class Correction:
    """`offset`: seconds to add to the agent's own time. Nothing is known until `synced`."""

    offset: float = 0.0
    synced: bool = False

    def heard(self, wall_offset: float, synced: bool) -> Correction:
        """After a look at the wall clock; `synced`: a time server keeps it at this moment."""
        if not synced:
            return self
        before = self.offset if self.synced else 0.0
        stays = abs(wall_offset - before) < STEP_S
        return Correction(before if stays else wall_offset, True)

    @property
    def word(self) -> str:
        """How far a time that is written now can be believed."""
        return "synced" if self.synced else "unsynced"


def corrected(message: Message, offset: float) -> Message:
    """A message whose times were on the agent's own clock, once the correction is known."""
    return replace(
        message,
        time=message.time + offset,
        body=moved(message.topic, message.body, offset) if offset else message.body,
        clock="corrected" if message.clock == "unsynced" else message.clock,
    )


def moved(topic: str, body: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """`data` of a message with its times that many seconds later."""
    times = {
        key: rfc3339(parse_rfc3339(body[key]) + seconds)
        for key in TIMES.get(topic, ())
        if isinstance(body.get(key), str)
    }
    return {**body, **times}


def timeless(topic: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """`data` without what a correction changes."""
    return {key: value for key, value in body.items() if key not in TIMES.get(topic, ())}
