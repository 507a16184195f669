"""What is kept of what did not happen: near misses finely, quiet times coarsely, all bounded."""

from __future__ import annotations

import numpy as np

from edge_agent.service.journal import Journal
from edge_agent.store.rows import Judged
from edge_agent.types import Decision, Frame, NearMiss, Outcome, Skip

PICTURE = np.zeros((2, 2, 3), np.uint8)


def inferred(time: float, stages: int) -> Outcome:
    decisions = tuple(Decision(f"stage {number}", "pass") for number in range(stages))
    miss = NearMiss("gate", time, int(time), None, None, decisions)
    gate = Decision("gate", "pass")
    return Outcome(Frame("dock", int(time), time, PICTURE), None, gate, misses=(miss,))


def skipped(time: float, skip: Skip) -> Outcome:
    gate = Decision("gate", "skip", {"reason": skip.value})
    return Outcome(Frame("dock", int(time), time, PICTURE), skip, gate)


def kept(*outcomes: Outcome) -> list[tuple[float, int]]:
    journal = Journal("people")
    for outcome in outcomes:
        journal.add(outcome)
    return [(entry.time, len(entry.decisions)) for entry in journal.take()]


def test_five_quiet_minutes_leave_one_entry() -> None:
    assert kept(*(inferred(600.0 + second, 3) for second in range(600))) == [(600, 3), (900, 3)]


def test_they_do_also_when_it_is_taken_every_minute_and_near_ones_are_always_kept() -> None:
    journal, found = Journal("people"), []
    for minute in range(10):
        journal.add(inferred(600.0 + 60 * minute, 5 if minute == 3 else 2))
        journal.add(skipped(601.0 + 60 * minute, Skip.MOTION))
        found += [(entry.time, entry.kind) for entry in journal.take()]
    assert found == [(600, "miss"), (601, "skip"), (780, "miss"), (900, "miss"), (901, "skip")]


def test_near_misses_are_kept_every_ten_seconds_the_nearest_of_each() -> None:
    near = [inferred(600.0 + second, 5 if second == 17 else 4) for second in range(30)]
    assert kept(*near) == [(600, 4), (617, 5), (620, 4)]


def test_each_reason_of_a_skip_leaves_one_entry_in_five_minutes() -> None:
    reasons = (Skip.MOTION, Skip.RATE)
    outcomes = [skipped(600.0 + second, reasons[second % 2]) for second in range(390)]
    assert kept(*outcomes) == [(600, 1), (601, 1), (900, 1), (901, 1)]


def test_a_quiet_entry_that_could_not_be_written_is_offered_again() -> None:
    journal = Journal("people")
    journal.add(inferred(600.0, 2))
    journal.give_back(journal.take())
    journal.add(inferred(661.0, 2))
    assert [entry.time for entry in journal.take()] == [600.0]


def test_what_could_not_be_written_is_offered_again_with_what_came_since() -> None:
    journal = Journal("people")
    journal.add(inferred(600.0, 5))
    refused: tuple[Judged, ...] = journal.take()
    journal.add(inferred(601.0, 4))
    journal.add(inferred(611.0, 4))
    journal.give_back(refused)
    assert [(entry.time, len(entry.decisions)) for entry in journal.take()] == [(600, 5), (611, 4)]
    assert journal.take() == ()
