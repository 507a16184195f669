"""How long and how much a repository may take: a silent, trickling or endless one is bounded."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from edge_agent.frozen import frozen


@frozen
class Limits:
    """Slower than `rate` bytes a second over `rate_s` is the same as silent."""

    connect_s: float = 15.0
    answer_s: float = 30.0  # until the headers are whole
    silence_s: float = 20.0  # between two pieces
    rate: float = 500.0
    rate_s: float = 30.0
    refresh_s: float = 600.0  # all of the metadata together
    free_mb: float = 64.0  # of the disk that is left to others


@frozen
class Patience:
    """How often in a row an attempt may come to nothing within one check, and who waits between.

    The service hands in a `pause` that a stop wakes.
    """

    attempts: int = 4
    base_s: float = 0.5
    cap_s: float = 20.0
    pause: Callable[[float], object] = time.sleep
    random: Callable[[], float] = random.random
