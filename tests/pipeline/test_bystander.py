"""Which findings two models have in common."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.pipeline.bystander import common
from edge_agent.types import Box, Detection

LEFT, RIGHT = (0.1, 0.1, 0.3, 0.5), (0.6, 0.1, 0.8, 0.5)


def found(box: Box = LEFT, label: str = "person", score: float = 0.8) -> Detection:
    return Detection(label, score, box)


def test_another_label_or_a_box_far_off_is_no_agreement() -> None:
    assert common([found()], [found(label="truck")]) == 0
    assert common([found()], [found(RIGHT)]) == 0
    assert common([found()], [found((0.12, 0.1, 0.32, 0.5))]) == 1


def test_one_finding_answers_for_one() -> None:
    assert common([found()], [found(), found()]) == 1


corners = st.floats(0, 0.5)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corners, corners, corners, corners)
detections = st.lists(st.builds(found, boxes, st.sampled_from("ab")), max_size=6)


@given(detections, detections)
def test_agreement_has_no_side(some: list[Detection], others: list[Detection]) -> None:
    shared = common(some, others)
    assert 0 <= shared <= min(len(some), len(others))
    assert shared == common(others, some)
