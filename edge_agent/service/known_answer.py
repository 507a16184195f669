"""A question whose answer is known, put to the running model every few hours.

An engine that runs and answers wrongly looks like a quiet night. Rules: the worker asks between two
frames, the very interpreter that judges them. A bundle brings its golden set; of a model without
one the answers to made-up frames are kept when it is first asked. A wrong answer is logged, blinds
the rules (`lying`), stands in `status` and `health`, and is asked for again each minute. A model
that remembers earlier frames is not asked: a question would change what it remembers.
"""

from __future__ import annotations

import logging
import math

from edge_agent.bundles import golden
from edge_agent.bundles.bundle import GOLDEN
from edge_agent.errors import EdgeError
from edge_agent.service.assemble import Assembled
from edge_agent.service.sharing import remembers

log = logging.getLogger("edge_agent.known_answer")

#: After a start the first frames come first.
FIRST_S = 60.0
EVERY_S = 4 * 3600.0
#: After a wrong answer.
AGAIN_S = 60.0


class KnownAnswer:
    """Of one pipeline's model. Only its worker asks; anyone may look at `wrong`."""

    def __init__(self, assembled: Assembled) -> None:
        self._assembled = assembled
        self._next: float | None = None
        self._kept: golden.Golden | None = None
        self.wrong: tuple[str, ...] = ()  # what it last answered otherwise, a sentence each
        self.since: float | None = None  # of the first wrong answer in a row

    def due(self, now: float) -> bool:
        """The first time some while after the first call."""
        if self._next is None:
            asked = not remembers(self._assembled.engine)
            self._next = now + FIRST_S if asked else math.inf
        return now >= self._next

    def ask(self, now: float) -> None:
        """Put the question. Raises nothing of the model: a model that refuses lies, too."""
        try:
            wrong = self._differences()
        except EdgeError as refusal:
            wrong = (refusal.message,)
        name, was_wrong = self._assembled.spec.name, bool(self.wrong)
        if wrong and not was_wrong:
            self.since = now
            log.error("model lies pipeline=%s differs=%r", name, wrong[0])
        elif was_wrong and not wrong:
            self.since = None
            log.info("model answers rightly again pipeline=%s", name)
        self.wrong = wrong
        self._next = now + (AGAIN_S if wrong else EVERY_S)

    def _differences(self) -> tuple[str, ...]:
        bundle, spec, engine = (
            self._assembled.bundle,
            self._assembled.model,
            self._assembled.engine,
        )
        path = bundle.folder / GOLDEN
        if not bundle.bare and path.is_file():
            return golden.check(path, spec, engine)
        if self._kept is None:
            self._kept = golden.remember(spec, engine, golden.made_up_frames(spec.input))
        return golden.differences(self._kept, spec, engine)
