"""The choice of a decoder by family."""

from __future__ import annotations

import pytest

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import decoder, name


def test_a_family_whose_outputs_are_not_understood_is_refused(output, model):
    with pytest.raises(Refused, match="made-up is of family fomo") as refused:
        decoder(model("fomo", [output("heat", (1, 12, 12, 2))]))
    assert "classification, ssd, yolo" in refused.value.next


def test_a_class_without_a_label_is_called_by_its_number():
    assert [name(("a", "b"), index) for index in (0, 1, 2, -1)] == ["a", "b", "2", "-1"]
