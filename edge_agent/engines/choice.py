"""`engine: auto` and `threads: auto`: which ones, and why, in a sentence.

Rules: a measurement counts only on the kind of board and with the engine version it was made with.
More threads must pay: of all within 10 % of the fastest, the one with the fewest threads is taken,
for a core that gains nothing here is taken from the rest of the device. Without a measurement it is
LiteRT with one thread; nothing is ever measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from edge_agent.engines import EngineName, Plan, available, version
from edge_agent.engines.measure import Kept, Measurement, board
from edge_agent.frozen import frozen

_WORTH = 1.10


@frozen
class Here:
    """Where the choice is made: the kind of board, and the installed engines' versions."""

    board: str
    versions: Mapping[EngineName, str]


@frozen
class Choice:
    """`single`: the busy seconds of an answer on one thread, as a part of those with this plan's
    threads; None where that was not measured, or it is one."""

    plan: Plan
    reason: str  # one line for a person
    single: float | None = None


def choose(
    engine: EngineName | Literal["auto"],
    threads: int | Literal["auto"],
    kept: Kept | None,
    here: Here | None = None,
) -> Choice:
    """The plan for a model whose configuration says `engine` and `threads`. `here`: this device."""
    if engine != "auto" and threads == 1:
        return Choice(Plan(engine, threads), f"{_named(engine, threads)}, as configured")
    usable, objections = _usable(kept, here or _here())
    if engine != "auto" and threads != "auto":
        plan = Plan(engine, threads)
        return Choice(plan, f"{_named(engine, threads)}, as configured", _single(plan, usable))
    candidates = [
        one for one in usable if engine in ("auto", one.engine) and threads in ("auto", one.threads)
    ]
    if candidates and kept is not None:
        best = _best(candidates)
        plan, why = Plan(best.engine, best.threads), f"{_compared(best, candidates)} {kept.date}"
    else:
        plan = Plan("litert" if engine == "auto" else engine, 1 if threads == "auto" else threads)
        why = "no measurement"
    reason = f"auto: {_named(plan.engine, plan.threads)}: {why}"
    return Choice(plan, "; ".join([reason, *objections]), _single(plan, usable))


def _here() -> Here:
    return Here(board(), {engine: version(engine) for engine in available()})


def _usable(kept: Kept | None, here: Here) -> tuple[list[Measurement], list[str]]:
    """The measurements that hold here, and why others do not."""
    if kept is None:
        return [], []
    if kept.board != here.board:
        return [], [f"that of {kept.date} was made on another board ({kept.board})"]
    ran = [
        one for one in kept.measurements if one.p50_ms is not None and one.engine in here.versions
    ]
    stale = {one.engine: one.version for one in ran if one.version != here.versions[one.engine]}
    return [one for one in ran if one.engine not in stale], [
        f"that of {engine} was made with version {old}, not {here.versions[engine]}"
        for engine, old in stale.items()
    ]


def _single(plan: Plan, usable: Sequence[Measurement]) -> float | None:
    """All threads are busy as long as an answer takes: those that wait for work spin."""
    took = {each.threads: _p50(each) for each in usable if each.engine == plan.engine}
    if plan.threads == 1 or 1 not in took or plan.threads not in took:
        return None
    return took[1] / (plan.threads * took[plan.threads])


def _best(candidates: Sequence[Measurement]) -> Measurement:
    fastest = min(_p50(one) for one in candidates)
    near = [one for one in candidates if _p50(one) <= _WORTH * fastest]
    return min(near, key=lambda one: (one.threads, _p50(one)))


def _compared(best: Measurement, candidates: Sequence[Measurement]) -> str:
    """Against the best of the other engine, else against the best other number of threads."""
    if others := [one for one in candidates if one.engine != best.engine]:
        rival = _best(others)
        by = f"by {rival.engine}"
    elif others := [one for one in candidates if one is not best]:
        rival = min(others, key=_p50)
        by = f"with {_threads(rival.threads)}"
    else:
        return f"{_ms(best)} ms, measured"
    return f"{_ms(best)} ms against {_ms(rival)} ms {by}, measured"


def _p50(one: Measurement) -> float:
    assert one.p50_ms is not None  # `_usable` keeps only those that ran
    return one.p50_ms


def _ms(one: Measurement) -> str:
    return f"{float(f'{_p50(one):.3g}'):g}"


def _named(engine: str, threads: int) -> str:
    return f"{engine}, {_threads(threads)}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
