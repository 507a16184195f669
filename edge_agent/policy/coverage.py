"""Proof of watching: whether a rule watched at every moment, and where not, why.

Pure; times are arguments, on the agent's own clock. Rules:

* A `Timeline` is one rule's life without a gap: stretches that follow each other, each of one
  `Attention`. So the seconds of its stretches always sum up to the time that passed.
* What was shown by a frame holds for the time since the frame before it. Where none came for
  longer than the source's patience, nobody watched, and the excuse of that moment stands there.
* The last `REVISABLE_S` may be revised: that a picture was black is known some seconds later.
* On top of the pipeline's attention a rule has its own schedule.

Read `service/attention.py` next, which feeds it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from edge_agent.frozen import frozen

#: What is older than this is settled. The slowest finding of the camera's health takes 10 s.
REVISABLE_S = 15.0
#: A source that is silent for longer than this, or than so many of its periods, is not watched.
LEAST_PATIENCE_S = 1.0
PERIODS = 3.0
#: With frames but without a look at them for so long, as by heat, a rule's clocks stand still.
LONGEST_GAP_S = 5.0


class State(StrEnum):
    WATCHING = "watching"
    DEGRADED = "degraded"  # watching, but slower or with a worse picture than was asked for
    BLIND = "blind"


class Cause(StrEnum):
    """Why not `watching`."""

    NONE = ""
    SOURCE_LOST = "source_lost"  # also one that is silent and not yet given up
    ENDED = "ended"  # a recorded source came to its end
    STARTING = "starting"  # the agent runs and the source has not delivered yet
    BLACK = "black"
    COVERED = "covered"
    FROZEN = "frozen"
    BLURRED = "blurred"
    MOVED = "moved"
    PAUSED = "paused"
    SCHEDULE = "schedule"  # of the gate or of the rule: so it was configured
    HEAT = "heat"
    BUSY = "busy"  # frames come faster than the model answers, by more than a rule can bear
    FAILING = "failing"  # frames cannot be read or judged
    SWAP = "swap"  # a model was being changed
    LYING = "lying"  # the engine gave a wrong answer to a question whose answer is known
    SUSPENDED = "suspended"  # the process got no time: SIGSTOP, a debugger, a machine that starves
    STOPPED = "stopped"  # the agent was stopped as asked
    POWER_OFF = "power_off"  # it was killed, or had no power


@frozen
class Attention:
    """What one moment was worth."""

    state: State
    cause: Cause = Cause.NONE


WATCHING = Attention(State.WATCHING)


def blind(cause: Cause) -> Attention:
    return Attention(State.BLIND, cause)


def degraded(cause: Cause) -> Attention:
    return Attention(State.DEGRADED, cause)


@frozen
class Stretch:
    """Some time of one attention. `seconds` may be less than its length where many were folded."""

    began: float
    ended: float
    attention: Attention
    seconds: float

    @classmethod
    def of(cls, began: float, ended: float, attention: Attention) -> Stretch:
        return cls(began, ended, attention, ended - began)


class Timeline:
    """One rule from `began` to `until`, the settled part taken away from time to time."""

    def __init__(self, began: float) -> None:
        self._stretches: list[Stretch] = []
        self.until = began

    def reach(self, time: float, attention: Attention) -> None:
        """The time up to here was such; nothing where it lies in the past."""
        if time <= self.until:
            return
        last = self._stretches[-1] if self._stretches else None
        if last is not None and last.attention == attention:
            self._stretches[-1] = Stretch.of(last.began, time, attention)
        else:
            self._stretches.append(Stretch.of(self.until, time, attention))
        self.until = time

    def revise(self, since: float, attention: Attention) -> None:
        """All since then was such, as far as it was not blind anyway and is not settled."""
        revised, self._stretches = self._stretches, []
        if not revised:
            return
        until, self.until = self.until, revised[0].began
        for each in revised:
            if each.attention.state is State.BLIND or each.ended <= since:
                self.reach(each.ended, each.attention)
                continue
            self.reach(max(since, each.began), each.attention)
            self.reach(each.ended, attention)
        self.until = until

    def settle(self, before: float) -> tuple[Stretch, ...]:
        """Take away what lies before that moment."""
        settled, kept = [], []
        for each in self._stretches:
            if each.began < before:
                settled.append(Stretch.of(each.began, min(each.ended, before), each.attention))
            if each.ended > before:
                kept.append(Stretch.of(max(each.began, before), each.ended, each.attention))
        self._stretches = kept
        return tuple(settled)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """What is not settled yet."""
        return tuple(self._stretches)


@frozen
class Since:
    """Up to when an earlier part of a rule's life is written, and why nobody watched since."""

    time: float
    cause: Cause


def patience(period_s: float | None) -> float:
    """How long a source may be silent; `period_s` between two of its frames, where it is known."""
    return max(LEAST_PATIENCE_S, PERIODS * (period_s or 0.0))


def folded(stretches: tuple[Stretch, ...], most: int) -> tuple[Stretch, ...]:
    """No more than `most` of them, or one per attention: the seconds stay, the order is lost."""
    if len(stretches) <= most:
        return stretches
    sums: dict[Attention, Stretch] = {}
    for each in stretches:
        so_far = sums.get(each.attention)
        sums[each.attention] = (
            each
            if so_far is None
            else replace(so_far, ended=each.ended, seconds=so_far.seconds + each.seconds)
        )
    return tuple(sums.values())


@frozen
class Coverage:
    """The seconds of some time, by state and cause."""

    watching_s: float
    degraded_s: dict[str, float]
    blind_s: dict[str, float]

    @property
    def total_s(self) -> float:
        return self.watching_s + sum(self.degraded_s.values()) + sum(self.blind_s.values())


def coverage(stretches: Iterable[Stretch]) -> Coverage:
    seconds: dict[State, Counter[str]] = {state: Counter() for state in State}
    for each in stretches:
        seconds[each.attention.state][each.attention.cause.value] += each.seconds  # type: ignore[assignment]
    return Coverage(
        float(sum(seconds[State.WATCHING].values())),
        dict(sorted(seconds[State.DEGRADED].items())),
        dict(sorted(seconds[State.BLIND].items())),
    )


def within(stretches: Iterable[Stretch], since: float, until: float) -> tuple[Stretch, ...]:
    """The part of them that lies between two moments; a folded one gives its share."""
    cut = []
    for each in stretches:
        began, ended = max(each.began, since), min(each.ended, until)
        if began < ended:
            share = (ended - began) / (each.ended - each.began)
            cut.append(Stretch(began, ended, each.attention, each.seconds * share))
    return tuple(cut)
