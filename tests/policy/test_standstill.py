"""A process that was stopped finds out, whichever of its threads wakes first."""

from __future__ import annotations

from edge_agent.policy.standstill import LATE_S, Standstill


def test_beats_in_time_are_no_standstill() -> None:
    standstill = Standstill()
    for beat in range(10):
        standstill.beat(100.0 + beat * LATE_S)
    assert standstill.latest(100.0 + 9 * LATE_S + 1.0) is None


def test_a_late_beat_is_one_and_is_known_before_the_beat() -> None:
    standstill = Standstill()
    assert standstill.latest(100.0) is None
    standstill.beat(100.5)  # the first: the start may take as long as it likes
    assert standstill.latest(110.0) == (100.5, 110.0)
    standstill.beat(110.1)
    standstill.beat(110.6)
    assert standstill.latest(110.7) == (100.5, 110.1)
    standstill.rest()
    assert standstill.latest(200.0) == (100.5, 110.1)
