"""When a live signal that does send something is lost all the same.

Pure; time is an argument. Two things make a source useless that is not silent: what comes is no
sample (noise, lines of words, nothing but `null`), or its samples never make a whole window,
because in each one too many are missing or time jumps. The first is borne for `stall_s`, like
silence; the second for as long, and three windows more. Read `signal.py` next.
"""

from __future__ import annotations

#: Harm to fewer windows in a row may be bad luck.
MUCH_HARM = 3
#: So many windows would have come meanwhile.
WINDOWS = 3


class Patience:
    """With one connection of a source; `span_s` is how long a window is."""

    def __init__(self, stall_s: float, span_s: float, now: float) -> None:
        self._stall_s = stall_s
        self._longest_s = stall_s + WINDOWS * span_s
        self._sample = self._window = now  # when the latest one came
        self._harm = 0  # windows that came to nothing since then

    def sample(self, now: float) -> None:
        """At least one number came."""
        self._sample = now

    def window(self, now: float) -> None:
        """A whole one came."""
        self._window, self._harm = now, 0

    def harm(self, windows: int) -> None:
        """So many were spoilt, or cut off by a gap."""
        self._harm += windows

    def over(self, now: float) -> str:
        """Why the source is lost, as the end of a sentence; "" as long as it is not."""
        if now - self._sample > self._stall_s:
            return f"gave no sample for {self._stall_s:g} s"
        if self._harm >= MUCH_HARM and now - self._window > self._longest_s:
            return f"gave no whole window for {now - self._window:.0f} s: too much is missing in it"
        return ""
