"""Who stands still is found, who was not let run is not, and a part is renewed once at most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.vigil import LONGEST_LOOK_S, MEMORY_S, Beat, Late, Vigil


def looks(vigil: Vigil, beat: Beat, moments: list[float]) -> list[Late]:
    return [late for now in moments for late in vigil.look(now, [beat.pulse])]


def test_a_step_that_takes_too_long_is_late_and_names_what_it_did() -> None:
    beat, vigil = Beat("pipeline dock"), Vigil()
    beat.begin("working on a frame", 5.0)
    assert looks(vigil, beat, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]) == []
    (late,) = vigil.look(6.0, [beat.pulse])
    assert late == Late("pipeline dock", "working on a frame", 6.0, hopeless=True)


@given(st.lists(st.floats(0.01, 1.9), min_size=1, max_size=50), st.floats(2.0, 60.0))
def test_whoever_begins_a_step_between_two_looks_is_never_late(
    pauses: list[float], within_s: float
) -> None:
    beat, vigil, now = Beat("source dock"), Vigil(), 0.0
    for pause in pauses:
        now += pause
        beat.begin("reading", within_s)
        assert vigil.look(now, [beat.pulse]) == ()


@given(st.floats(0.0, 1e6))
def test_a_process_that_was_stopped_finds_nobody_late(asleep_s: float) -> None:
    beat, vigil = Beat("pipeline dock"), Vigil()
    beat.begin("working on a frame", LONGEST_LOOK_S + 1)
    assert looks(vigil, beat, [0.0, asleep_s]) == []


def test_what_can_be_renewed_is_renewed_once_and_ends_the_process_the_second_time() -> None:
    beat, vigil = Beat("publisher", renewable=True), Vigil()
    beat.begin("talking to the broker", 3.0)
    found = looks(vigil, beat, [float(second) for second in range(12)])
    assert [late.hopeless for late in found] == [False, True, True, True, True]
    assert found[0].seconds == 4.0


def test_one_that_is_late_again_after_a_long_time_is_renewed_again() -> None:
    beat, vigil = Beat("publisher", renewable=True), Vigil()
    beat.begin("talking to the broker", 1.0)
    assert [late.hopeless for late in looks(vigil, beat, [0.0, 1.0, 2.0])] == [False]
    beat.begin("talking to the broker", 1.0)
    later = 2.0 + MEMORY_S
    assert [late.hopeless for late in looks(vigil, beat, [later, later + 1.9])] == [False]


def test_one_that_ended_is_forgotten() -> None:
    beat, vigil = Beat("source dock"), Vigil()
    beat.begin("reading", 1.0)
    assert looks(vigil, beat, [0.0, 1.0]) == []
    assert vigil.look(2.0, []) == ()
    assert vigil.look(3.0, [beat.pulse]) == ()  # a new one of the same name begins anew
