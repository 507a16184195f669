"""What arrives is checked: a message of a device, or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy.documents import dump
from edge_fleet.message import LARGEST, Malformed, from_topic, read

STORE = "8b4a578a-3e32-4912-83ad-1fd975428b66"
LOST: dict[str, Any] = {
    "schema": "mqtt-lost/1", "device": "dock-07", "store": STORE, "boot": 1, "session": 1,
    "seq": 9, "id": "lost/1", "time": "2023-11-14T22:13:20.000Z", "clock": "synced",
    "data": {"ranges": [[3, 4]], "counts": {"alert": 2}, "reason": "quota", "previous_store": None},
}  # fmt: skip


def test_a_message_is_what_it_says() -> None:
    message = from_topic("edge/v1/dock-07/lost", dump(LOST).encode())
    assert (message.device, message.store, message.seq) == ("dock-07", STORE, 9)
    assert message.loss is not None
    assert message.loss.seqs == ((3, 4),)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "event/1"}, {"device": "a/b"}, {"store": "x"}, {"seq": 0}, {"seq": "9"},
        {"seq": None}, {"id": ""}, {"id": "i" * 300}, {"clock": "wrong"}, {"data": []},
        {"boot": -1}, {"time": 5}, {"data": {}}, {"data": {"ranges": [[2, 1]], "reason": "quota"}},
        {"data": {"ranges": [], "reason": 1}},
        {"data": {"ranges": [], "reason": "quota", "counts": {"a": "b"}}},
        {"data": {"ranges": [], "reason": "quota", "previous_store": "x"}},
    ],
)  # fmt: skip
def test_what_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(dump(LOST | change).encode())


@pytest.mark.parametrize("topic", ["edge/v1/dock-08/lost", "edge/v1/dock-07/alert", "x"])
def test_a_message_on_another_topic_is_refused(topic: str) -> None:
    with pytest.raises(Malformed, match="another topic"):
        from_topic(topic, dump(LOST).encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_sentence(payload: bytes) -> None:
    with pytest.raises(Malformed):
        read(payload)


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(ANYTHING, st.sampled_from(sorted(LOST)))
def test_any_value_in_any_place_is_taken_or_refused(value: Any, key: str) -> None:
    try:
        message = read(json.dumps(LOST | {key: value}).encode())
    except Malformed:
        return
    assert message.loss is not None


def test_what_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(Malformed, match="too many"):
        read(b" " * (LARGEST + 1))
    with pytest.raises(Malformed):
        read(b"[" * 200_000)
