"""The choice of a decoder by family, and what decoders share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.errors import Refused
from edge_agent.pipeline.decode import FAMILIES, OF_PICTURES, decoder, name, only_output
from edge_agent.types import SignalSpec

FITTING = {
    "classification": (1, 10),
    "yolo": (1, 5, 756),
    "fomo": (1, 12, 12, 2),
    "segmentation": (1, 12, 12, 4),
    "pose": (1, 1, 17, 3),
    "anomaly": (1, 48, 64, 3),
    "generic": (1, 2, 3, 4, 5),
}


def test_there_is_a_decoder_for_every_family(output, model):
    assert {*FITTING, "ssd"} == set(FAMILIES)
    for family, shape in FITTING.items():
        assert callable(decoder(model(family, [output("out", shape)])))


@pytest.mark.parametrize("family", sorted(OF_PICTURES))
def test_what_finds_places_in_pictures_takes_no_signal(output, model, family):
    made = model(family, [output("out", FITTING.get(family, (1, 4)))])
    with pytest.raises(Refused, match=f"is of family {family}, which looks at pictures"):
        decoder(replace(made, input=SignalSpec(16, 16)))


def test_the_one_output_that_fits_is_taken_or_a_sentence_names_them_all(output, model):
    outputs = [output("a", (1, 2)), output("b", (1, 3)), output("c", (1, 3))]
    made = model("pose", outputs)
    assert only_output(made, lambda tensor: tensor.shape == (1, 2), "a pair") == 0
    with pytest.raises(Refused, match=r"several of the outputs 'a' .* 'b' .* could be a list"):
        only_output(made, lambda tensor: tensor.shape == (1, 3), "a list")
    with pytest.raises(Refused, match=r"output 'a' .* is not a map"):
        only_output(made, lambda tensor: False, "a map")


def test_a_class_without_a_label_is_called_by_its_number():
    assert [name(("a", "b"), index) for index in (0, 1, 2, -1)] == ["a", "b", "2", "-1"]
