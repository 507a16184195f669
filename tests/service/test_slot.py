"""The newest-frame slot: what waits is the newest, what it replaces is `busy`, all is counted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.service.ledger import Account
from edge_agent.service.slot import NewestFrame
from edge_agent.types import Broken, Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


def frame(index: int) -> Frame:
    return Frame("cam", index, float(index), PICTURE)


def test_the_newest_frame_waits_and_the_one_it_replaces_is_busy() -> None:
    account = Account()
    slot = NewestFrame(account)
    slot.offer(frame(0))
    slot.offer(frame(1))
    taken = slot.take(0.0)
    assert taken is not None
    assert taken.index == 1
    assert account.ledger().skipped == {"busy": 1}
    assert account.ledger().pending == 1  # taken, and not yet decided
    assert slot.take(0.0) is None


def test_a_broken_item_is_failed_and_never_handed_out() -> None:
    account = Account()
    slot = NewestFrame(account)
    slot.offer(Broken("cam", 0, 0.0, "x.jpg", "damaged"))
    assert slot.take(0.0) is None
    assert account.ledger().failed == 1
    assert account.ledger().balanced


@given(st.lists(st.sampled_from(["offer", "broken", "take"]), max_size=50))
def test_every_frame_is_counted_once_whatever_the_order(steps: list[str]) -> None:
    account = Account()
    slot = NewestFrame(account)
    offered = 0
    for step in steps:
        if step == "take":
            if slot.take(0.0) is not None:
                account.infer()
            continue
        item = frame(offered) if step == "offer" else Broken("cam", offered, 0.0, "x", "y")
        slot.offer(item)
        offered += 1
        assert account.ledger().balanced
    slot.drain()
    assert account.ledger().pending == 0
    assert account.ledger().captured == offered


def test_time_without_a_source_is_handed_over_once() -> None:
    slot = NewestFrame(Account())
    slot.was_away(2.0)
    slot.was_away(3.0)
    assert slot.away() == 5.0
    assert slot.away() == 0.0


def test_the_end_of_a_source_is_told_once_after_its_last_frame() -> None:
    slot = NewestFrame(Account())
    slot.offer(frame(0))
    slot.end()
    assert not slot.has_ended()
    assert slot.take(0.0) is not None
    assert slot.has_ended()
    assert not slot.has_ended()


UNSEEN = np.empty((0, 0, 3), np.uint8)


def test_a_frame_without_a_picture_never_takes_the_place_of_one_with_a_picture() -> None:
    account = Account()
    slot = NewestFrame(account)
    for index, paced in enumerate([(), (5.0,), (), (), (5.0,)]):
        slot.offer(Frame("cam", index, float(index), PICTURE if paced else UNSEEN, paced=paced))
    taken = slot.take(0.0)
    assert taken is not None
    assert taken.index == 4
    assert account.ledger().skipped == {"rate": 3, "busy": 1}
    assert account.ledger().balanced
