"""The summary window of one pipeline: the worker counts, housekeeping takes it and sends it."""

from __future__ import annotations

import threading

from edge_agent.policy.summary import Window
from edge_agent.types import Outcome


class Windows:
    """One open window at a time, behind a lock."""

    def __init__(self, pipeline: str, now: float) -> None:
        self._lock = threading.Lock()
        self._window = Window(pipeline, now)

    def add(self, outcome: Outcome, latency_s: float) -> None:
        with self._lock:
            self._window.add(outcome, latency_s)

    def take(self, now: float) -> Window:
        """The window so far; the next one begins at `now`."""
        with self._lock:
            window, self._window = self._window, Window(self._window.pipeline, now)
            return window
