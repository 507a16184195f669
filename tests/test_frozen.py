"""`@frozen` against `dataclass(frozen=True, slots=True)`: nothing but the time is different."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.frozen import FEW, frozen, frozen_by_name

standard = dataclass(frozen=True, slots=True)
BOTH = pytest.mark.parametrize("kind", [frozen, standard], ids=["frozen", "dataclass"])


def plain(kind: Callable[[type], type]) -> Any:
    class Plain:
        kinds: ClassVar[int] = 3
        first: int
        second: float = 0.5
        many: list[int] = field(default_factory=list)
        hidden: str = field(default="x", repr=False, compare=False)
        worked_out: int = field(init=False, repr=False)
        named: int = field(default=1, kw_only=True)

        def __post_init__(self) -> None:
            object.__setattr__(self, "worked_out", self.first + self.named)

        @property
        def double(self) -> float:
            return self.second * 2

    return kind(Plain)


@frozen
class Travelling:
    """Pickle looks for it by its name."""

    name: str
    value: float = 0.0


@frozen
class Further(Travelling):
    more: tuple[int, ...] = ()


@frozen
class Nothing:
    """No field at all."""


PAIR = (plain(frozen), plain(standard))
values = st.fixed_dictionaries(
    {"first": st.integers(0, 3)},
    optional={
        "second": st.sampled_from([0.0, 0.5, float("inf")]),  # NaN: Python 3.13 changed its answer
        "hidden": st.sampled_from(["x", "y"]),
        "named": st.integers(0, 2),
    },
)


@given(values, values)
def test_alike_in_every_answer(one: dict[str, Any], other: dict[str, Any]) -> None:
    (ours, ours2), (theirs, theirs2) = ((kind(**one), kind(**other)) for kind in PAIR)
    assert repr(ours) == repr(theirs)
    assert (ours == ours2) == (theirs == theirs2)
    assert ours.double == theirs.double
    assert repr(dataclasses.asdict(ours)) == repr(dataclasses.asdict(theirs))
    assert repr(replace(ours, first=9)) == repr(replace(theirs, first=9))
    assert [each.name for each in dataclasses.fields(ours)] == [
        each.name for each in dataclasses.fields(theirs)
    ]


@BOTH
def test_what_is_given_and_what_is_not(kind: Callable[[type], type]) -> None:
    made = plain(kind)
    one, other = made(1), made(1, 0.5, [], "y", named=1)
    assert one == other
    assert one.many is not other.many
    assert one != made(2)
    assert one != (1, 0.5)
    assert one != 1
    assert one.worked_out == 2
    assert replace(one, named=4).worked_out == 5
    for wrong in ({}, {"first": 1, "third": 2}, {"first": 1, "worked_out": 2}):
        with pytest.raises(TypeError):
            made(**wrong)
    with pytest.raises(TypeError):
        made(1, 0.5, [], "y", 1)  # `named` has to be named


@BOTH
def test_the_first_calls_are_as_all_others(kind: Callable[[type], type]) -> None:
    made, often = plain(kind), plain(kind)
    for _ in range(2 * FEW):
        often(1)
    for values, named in (
        ((1,), {}),
        ((1, 0.5), {"named": 3}),
        ((), {"first": 1, "many": [2], "hidden": "y"}),
        ((), {}),
        ((1,), {"first": 1}),
        ((1,), {"third": 3}),
        ((1,), {"worked_out": 3}),
        ((1, 2, 3, 4, 5), {}),
    ):
        assert tried(plain(kind), values, named) == tried(often, values, named)
        assert tried(made, values, named) == tried(often, values, named)


def tried(made: Any, values: tuple[Any, ...], named: dict[str, Any]) -> str:
    """What comes of a call, or why nothing does."""
    try:
        one = made(*values, **named)
    except TypeError as fault:
        return str(fault)
    return f"{one} {one.hidden} {one.worked_out}"


@BOTH
def test_nothing_can_be_set_or_added(kind: Callable[[type], type]) -> None:
    one = plain(kind)(1)
    with pytest.raises(FrozenInstanceError):
        one.first = 2
    # Python 3.11's own stumbles over what is no field, and says TypeError.
    with pytest.raises(FrozenInstanceError if kind is frozen else (TypeError, FrozenInstanceError)):
        one.other = 2
    with pytest.raises(FrozenInstanceError):
        del one.first
    assert not hasattr(one, "__dict__")


def test_the_signature_is_there_before_the_first_call() -> None:
    ours, theirs = (inspect.signature(plain(kind)) for kind in (frozen, standard))
    assert list(ours.parameters) == list(theirs.parameters)
    assert [each.kind for each in ours.parameters.values()] == [
        each.kind for each in theirs.parameters.values()
    ]


@given(st.builds(Travelling, st.text(max_size=3), st.floats()))
def test_travels_and_is_hashed_as_its_values(one: Travelling) -> None:
    for twin in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
        assert repr(twin) == repr(one)
    assert hash(one) == hash((one.name, one.value))
    match one:
        case Travelling(name, value):
            assert (name, repr(value)) == (one.name, repr(one.value))


def test_a_class_made_of_another() -> None:
    one = Further("a", 1.0, (2,))
    assert repr(one) == "Further(name='a', value=1.0, more=(2,))"
    assert one != Travelling("a", 1.0)
    assert Travelling("a", 1.0) == Travelling("a", 1.0)
    assert Further("a") == Further("a", 0.0, ())
    assert {Further("a"), Further("a")} == {Further("a")}
    assert pickle.loads(pickle.dumps(one)) == one


def test_no_field_and_methods_of_its_own() -> None:
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(())
    assert repr(Nothing()) == "Nothing()"

    @frozen
    class Own:
        """Says itself how it looks, and when it is the same."""

        a: int

        def __repr__(self) -> str:
            return "own"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

    assert repr(Own(1)) == "own"
    assert Own(1) == Own(2)
    assert hash(Own(1)) == hash((1,))


@pytest.mark.parametrize(
    "kind",
    [frozen_by_name, dataclass(frozen=True, slots=True, kw_only=True)],
    ids=["frozen_by_name", "dataclass"],
)
def test_fields_that_are_given_by_name_come_in_any_order(kind: Callable[[type], type]) -> None:
    @kind
    class Base:
        first: int = 1
        needed: str

    @kind
    class Below(Base):
        more: tuple[int, ...] = ()
        also_needed: float

    made: Any = Below
    one = made(also_needed=2.0, needed="x")
    assert (one.first, one.needed, one.more, one.also_needed) == (1, "x", (), 2.0)
    assert replace(one, first=3) == made(also_needed=2.0, needed="x", first=3)
    for wrong in (lambda: made("x", 2.0), lambda: made(needed="x")):
        with pytest.raises(TypeError):
            wrong()
