"""The definitions that are costly to change, each with its law (docs/decisions 0002 to 0006)."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.host.clock import Clock, Readings
from edge_agent.pipeline.events import event_id
from edge_agent.pipeline.rules import Ident
from edge_agent.policy.lost import ranges
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft

TEXT = st.text(max_size=12)


# --- 0002 time -----------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1e5),  # monotonic seconds that pass
            st.floats(-2e9, 2e9),  # seconds by which somebody sets the wall clock
        ),
        min_size=1,
        max_size=30,
    )
)
def test_time_never_steps(steps: list[tuple[float, float]]) -> None:
    monotonic, wall = 100.0, 0.0  # a board without a battery starts in 1970
    clock = Clock(Readings(lambda: monotonic, lambda: wall, lambda: False))
    start, last = clock.now(), clock.now()
    passed = 0.0
    for seconds, jump in steps:
        monotonic += seconds
        wall += seconds + jump
        passed += seconds
        now = clock.now()
        assert now >= last
        assert now - start == pytest.approx(passed, abs=1e-3)
        assert clock.now() + clock.wall_offset() == pytest.approx(wall, abs=1e-3)
        last = now


# --- 0003 ids ------------------------------------------------------------------------------------

PARTS = st.tuples(TEXT, st.integers(0, 9), TEXT, TEXT, TEXT, TEXT)


def id_of(parts: tuple[str, int, str, str, str, str]) -> str:
    store, boot, pipeline, rule, subject, opening = parts
    return event_id(Ident(store, boot), pipeline, rule, subject, opening)


@given(PARTS, PARTS)
def test_ids_follow_from_the_data(
    first: tuple[str, int, str, str, str, str], second: tuple[str, int, str, str, str, str]
) -> None:
    assert (id_of(first) == id_of(second)) == (first == second)
    assert len(id_of(first)) == 16
    assert set(id_of(first)) <= set("0123456789abcdef")


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_a_letter_that_moves_to_the_neighbour_changes_the_id(left: str, right: str) -> None:
    before = event_id(Ident(), left, right, "1", "cam::0")
    after = event_id(Ident(), left[:-1], left[-1] + right, "1", "cam::0")
    assert before != after


# --- 0005 seq and lost ---------------------------------------------------------------------------


@given(st.sets(st.integers(1, 60)))
def test_ranges_cover_exactly_what_they_were_made_of(seqs: set[int]) -> None:
    covered = [seq for first, last in ranges(seqs) for seq in range(first, last + 1)]
    assert covered == sorted(seqs)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(st.just("deliver"), st.integers(0, 8)),
        st.tuples(st.just("give up"), st.sets(st.integers(1, 30), max_size=5)),
        st.tuples(st.just("open again"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(STEPS)
def test_delivered_lost_and_pending_are_everything(steps: list[tuple[str, object]]) -> None:
    delivered: set[int] = set()
    declared: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        store.start()
        names = iter(range(10_000))
        for step, what in steps:
            if step == "write":
                count = what if isinstance(what, int) else 0
                drafts = [Draft(f"m/{next(names)}", "summary", 1.0, "{}") for _ in range(count)]
                store.record(Batch(messages=tuple(drafts)))
            elif step == "deliver":
                # A receiver that knows only the contract: it reads seqs and `lost` ranges.
                for message in store.outbox.pending(limit=what if isinstance(what, int) else 0):
                    assert message.seq is not None
                    delivered.add(message.seq)
                    if message.topic == "lost":
                        for first, last in json.loads(json.dumps(message.body))["ranges"]:
                            declared.update(range(first, last + 1))
                    store.outbox.acknowledge([message.seq])
            elif step == "give up":
                store.outbox.give_up(what if isinstance(what, set) else set(), "refused", 2.0)
            else:
                store.close()
                store = open_store(Path(folder))
        highest = store.outbox.depth().last_seq
        pending = {message.seq for message in store.outbox.pending(limit=10_000)}
        for message in store.outbox.pending(limit=10_000):
            if message.topic == "lost":  # still on its way
                for first, last in message.body["ranges"]:
                    declared.update(range(first, last + 1))
        store.close()
    assert delivered | declared | pending == set(range(1, highest + 1))
    assert not delivered & declared
    assert not declared & pending
    assert not delivered & pending
