"""Who is asked for what, how often, and what is made of the answers."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from desk import NOW
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.policy import spans
from edge_agent.policy.stick import Waiting
from edge_fleet.archive import Archive
from edge_fleet.healer import EVERY_S, MOST_NUMBERS, MOST_RANGES, Healer, first_of

OTHER = "22222222-3e32-4912-83ad-1fd975428b66"
STORE = "11111111-3e32-4912-83ad-1fd975428b66"


class Link:
    def __init__(self) -> None:
        self.said: list[tuple[str, str, dict[str, Any]]] = []

    def command(self, device: str, name: str, payload: bytes, expiry_s: int) -> None:
        assert expiry_s == EVERY_S
        self.said.append((device, name, json.loads(payload)))


def test_each_store_is_asked_once_a_minute_for_what_is_missing(archive: Archive) -> None:
    archive.waits("dock-07", STORE, Waiting(last_seq=4), "2026", NOW)
    archive.waits("dock-08", OTHER, Waiting(2, 1, 2, 2), "2026", NOW)  # pending: not missing
    link, healer = Link(), Healer()
    for now in (0.0, 1.0, EVERY_S - 1, EVERY_S):
        healer.step(link, archive, now)
    assert [(device, name) for device, name, _ in link.said] == [("dock-07", "resend")] * 2
    assert link.said[0][2]["args"] == {"store": STORE, "ranges": [[1, 4]]}
    assert link.said[0][2]["id"] != link.said[1][2]["id"]


def test_what_came_in_is_looked_at_soon(archive: Archive) -> None:
    """The retained `health` comes after the first look, and tells what is missing."""
    link, healer = Link(), Healer()
    healer.step(link, archive, 0.0)
    archive.waits("dock-07", STORE, Waiting(last_seq=4), "2026", NOW)
    healer.arrived(0.5)
    healer.step(link, archive, 0.6)
    assert link.said == []
    healer.step(link, archive, 2.0)
    assert len(link.said) == 1
    healer.arrived(2.5)
    healer.step(link, archive, 9.0)
    assert len(link.said) == 1  # it was asked a moment ago


def test_answers_and_silence_are_told(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    archive.waits("dock-07", STORE, Waiting(last_seq=4), "2026", NOW)
    link, healer = Link(), Healer()

    def answer(payload: bytes) -> str:
        healer.step(link, archive, (len(link.said) + 1) * EVERY_S)
        caplog.clear()
        healer.replied(f"edge/v1/dock-07/reply/{link.said[-1][2]['id']}", payload)
        return caplog.text

    assert "sends 3 again" in answer(b'{"ok":true,"data":{"queued":3,"gone":[[4,4]],"lost":5}}')
    assert "does not send again: no" in answer(b'{"ok":false,"error":{"message":"no"}}')
    for nonsense in (b"", b"[]", b'{"ok":true}', b'{"ok":true,"data":{"queued":1,"gone":[[2,1]]}}'):
        assert "answers nonsense" in answer(nonsense)
    caplog.clear()
    healer.replied("edge/v1/dock-07/reply/somebody-elses", b"")
    assert caplog.text == ""
    for _ in range(2):
        healer.step(link, archive, (len(link.said) + 9) * EVERY_S)
    assert "dock-07 did not answer: is it online" in caplog.text


@given(st.lists(st.tuples(st.integers(1, 50_000), st.integers(0, 4_000)), max_size=30))
def test_one_command_asks_for_the_first_of_what_is_missing(given_: list[tuple[int, int]]) -> None:
    missing = spans.joined((first, first + more) for first, more in given_)
    taken = first_of(missing)
    assert spans.count(taken) == min(spans.count(missing), MOST_NUMBERS)
    assert spans.without(taken, missing) == ()
    assert not missing or taken[0][0] == missing[0][0]


def test_scattered_numbers_fit_into_one_message() -> None:
    scattered = spans.of(range(1, 6 * MOST_RANGES, 2))
    assert len(first_of(scattered)) == MOST_RANGES
