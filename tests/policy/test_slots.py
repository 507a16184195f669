"""What is in charge, by every way there: a law over any order of changes, and the objections."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.slots import (
    MOST_BROKEN,
    Broken,
    Hold,
    Known,
    Offer,
    Order,
    Probation,
    Served,
    Slots,
    Terms,
    document,
    older,
    parse,
)

OFFER = Offer("2-bb", "2", "b" * 64)
BROKEN = Broken("it ended the agent", 5.0, "b" * 64)
FULL = Slots(
    active="2-bb",
    previous="1-aa",
    candidate="3-cc",
    probation=Probation("1-aa", 9.0, Terms(5.0, 20, {"failures": 3.0}), True, Order("r", 4, "s"),
                        {"yard": {"frames": 3}}, {"yard": Served(7.5, 12)}),
    broken={"0-zz": BROKEN},
    hold=Hold("2", 1.0, "cli"),
    known={"2-bb": Known(1.0, 2.0, 3, 1)},
)  # fmt: skip


def test_what_is_written_is_read_again() -> None:
    assert parse(json.loads(json.dumps(document(FULL)))) == FULL


def test_the_file_of_an_older_agent_is_read() -> None:
    assert parse({"active": "2-bb", "previous": None}) == Slots(active="2-bb")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*document(FULL), "terms", "guardrails", "reason", "2-bb"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_stands_in_the_file_is_read(data: Any) -> None:
    assert isinstance(parse(data), Slots)
    mixed = {**document(FULL), **data} if isinstance(data, dict) else data
    assert isinstance(parse(mixed), Slots)


# --- the law -------------------------------------------------------------------------------------

SLOTS = st.sampled_from(["1-a", "2-b", "3-c", "4-d"])
DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["install", "take", "begin", "commit", "break", "back", "interrupt"]), SLOTS
    ),
    max_size=25,
)


@given(DEEDS, st.booleans())
def test_a_broken_one_never_takes_charge_and_back_leads_to_what_was_committed(
    deeds: list[tuple[str, str]], has_factory: bool
) -> None:
    slots, committed, now = Slots(), None, 0.0
    there: set[str] = set()
    for deed, slot in deeds:
        now += 1
        match deed:
            case "install":
                there.add(slot)
                slots = slots.with_installed(slot, now)
            case "take" if slot in there and slot not in slots.broken and slot != slots.active:
                safe = slots.committed is not None or has_factory
                probation = Probation(slots.committed, now) if safe else None
                slots = slots.with_active(slot, now, probation)
                committed = committed if safe else slot
            case "begin":
                slots = slots.with_begun()
            case "commit":
                slots = slots.with_committed()
                committed = slots.active
            case "break":
                slots = slots.with_broken(slot, Broken("x", now, slot))
            case "interrupt":
                slots = slots.with_interrupted()
            case "back":
                on_probation = slots.probation is not None
                back = slots.back_to(lambda each: each in there if each else has_factory)
                if back is not None:
                    if on_probation and committed not in slots.broken:
                        assert back.slot == committed
                    assert back.slot not in slots.broken
                    slots = slots.with_back(back.slot, now)
                    committed = back.slot
        assert slots.committed == committed
        assert slots.candidate not in slots.broken
        assert slots.active != slots.previous or slots.active is None
        assert len(slots.kept) <= 3
        assert parse(json.loads(json.dumps(document(slots)))) == slots


def test_who_is_tried_during_a_probation_falls_back_to_the_last_one_that_was_committed() -> None:
    slots = Slots(active="1", known={"1": Known(), "2": Known(), "3": Known()})
    slots = slots.with_active("2", 1.0, Probation("1", 1.0))
    slots = slots.with_active("3", 2.0, Probation(slots.committed, 2.0))
    assert (slots.previous, slots.kept) == ("1", {"1", "3"})
    back = slots.back_to(lambda slot: slot is not None)
    assert back is not None
    assert back.slot == "1"


def test_back_goes_on_to_the_factory_model_where_the_one_before_is_broken_or_gone() -> None:
    slots = Slots(active="2", previous="1").with_broken("1", BROKEN)
    back = slots.back_to(lambda slot: True)
    assert back is not None
    assert back.slot is None
    assert Slots(active="2", previous="1").back_to(lambda slot: slot is None) == back
    assert Slots(active="2", previous="1").back_to(lambda slot: False) is None
    assert Slots().back_to(lambda slot: True) is None  # it is the factory model already


def test_who_was_put_back_may_be_tried_again_but_no_more_than_twice_by_itself() -> None:
    slots = Slots(active="1").with_installed("2", 0.0)
    for round_, may in ((1, True), (2, False)):
        slots = slots.with_active("2", round_, Probation("1", round_)).with_begun()
        slots = slots.with_interrupted().with_back("1", round_)
        assert (slots.active, slots.candidate, slots.may_begin_again) == ("1", "2", may)
    slots = slots.with_active("2", 3.0, Probation("1", 3.0)).with_committed()
    assert slots.known["2"].interruptions == 0


def test_what_was_broken_is_forgotten_in_the_order_it_was_learned() -> None:
    slots = Slots()
    for number in range(MOST_BROKEN + 4):
        slots = slots.with_broken(f"{number}", replace(BROKEN, since=float(number)))
    assert set(slots.broken) == {str(number) for number in range(4, MOST_BROKEN + 4)}


# --- objections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "running", "downgrade", "code"),
    [
        (Slots(), None, False, None),
        (Slots(), "1.9", False, None),
        (Slots(), "2.0", False, None),  # the same version, another content
        (Slots(), "2.1", False, "downgrade"),
        (Slots(), "2.1", True, None),
        (Slots(broken={"2-bb": replace(BROKEN, sha256="c" * 64)}), None, True, "broken"),
        (Slots(broken={"1-aa": BROKEN}), None, True, "broken"),  # the same bytes
        (Slots(hold=Hold("1", 0.0, "cli")), "1", True, "held"),
        (Slots(hold=Hold("2", 0.0, "cli")), "1", False, None),
    ],
)
def test_what_speaks_against_a_version(
    slots: Slots, running: str | None, downgrade: bool, code: str | None
) -> None:
    objection = slots.objection(OFFER, running, downgrade=downgrade)
    assert (objection.code if objection else None) == code


@pytest.mark.parametrize(
    ("version", "than", "lower"),
    [
        ("1", "2", True), ("2", "1", False), ("1.9", "1.10", True), ("1.0", "1", False),
        ("1", "1.0.1", True), ("1.0.0-rc1", "1.0.0", True), ("1.0.0", "1.0.0-rc1", False),
        ("1.0.0-rc.2", "1.0.0-rc.10", True), ("1.0.0-alpha", "1.0.0-beta", True),
        ("1.0+a", "1.0+b", False), ("v1", "v2", True), ("spring", "autumn", False),
        ("spring", "2", False), ("9.9.9-new", "10", True),
    ],
)  # fmt: skip
def test_versions_are_ordered(version: str, than: str, lower: bool) -> None:
    assert older(version, than) is lower
