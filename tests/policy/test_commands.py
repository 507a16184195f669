"""A command is what it says, or a sentence; a budget bounds a flood."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.commands import LARGEST, Budget, Command, Malformed, parse


def test_a_command_has_an_id_and_args() -> None:
    given_ = json.dumps({"id": "a-1", "args": {"x": 1}}).encode()
    assert parse("ping", given_) == Command("ping", "a-1", {"x": 1})
    assert parse("ping", b'{"id":"1"}') == Command("ping", "1", {})
    assert parse("ping", b'{"id":"1","args":null}') == Command("ping", "1", {})


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "is JSON"), (b"\xff", "is JSON"), (b"[" * 9000, "is JSON"), (b"[]", "has an id"),
        (b'{"id":7}', "has an id"), (b'{"id":"a/b"}', "has an id"), (b'{"id":"#"}', "has an id"),
        (b'{"id":"' + b"x" * 65 + b'"}', "has an id"), (b'{"id":"1","args":[1]}', "an object"),
        (b" " * (LARGEST + 1), "at most 65536 bytes"),
    ],
)  # fmt: skip
def test_what_is_none_has_a_sentence(payload: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        parse("ping", payload)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_command_or_a_sentence(payload: bytes) -> None:
    with pytest.raises(Malformed):
        parse("ping", payload)


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_flood_is_bounded_whatever_its_rhythm(pauses: list[float]) -> None:
    budget, now, run = Budget(most=4, per_s=0.5, left=4), 0.0, 0
    for pause in pauses:
        now += pause
        if (spent := budget.spent(now)) is not None:
            budget, run = spent, run + 1
    assert run <= 4 + 0.5 * now + 1e-6
    assert run >= min(len(pauses), 4)
