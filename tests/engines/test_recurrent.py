"""Which input is the picture, and which outputs go back in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.engines.recurrent import carried, frames_input
from edge_agent.errors import Refused
from edge_agent.types import TensorSpec


def tensor(name: str, shape: tuple[int, ...] = (1, 8, 8, 320), scale: float = 0.5) -> TensorSpec:
    return TensorSpec(hash(name), name, shape, "uint8", (scale,), (0,))


PICTURE = tensor("picture", (1, 96, 96, 3))


def test_an_only_input_is_the_main_one_whatever_its_shape() -> None:
    signal = tensor("signal", (1, 640))
    assert frames_input([signal], [], "m") is signal


@pytest.mark.parametrize("shape", [(1, 96, 96, 3), (1, 96, 96, 1), (1, 3, 96, 96)])
def test_the_input_shaped_like_a_picture_is_the_main_one(shape: tuple[int, ...]) -> None:
    picture = tensor("p", shape)
    assert frames_input([tensor("state"), picture, tensor("other")], [], "m") is picture


def test_among_signals_the_one_that_no_output_gives_back_is_the_main_one() -> None:
    state, signal = tensor("state", (1, 128)), tensor("signal", (1, 640))
    outputs = [tensor("scores", (1, 4)), tensor("new_state", (1, 128))]
    assert frames_input([state, signal], outputs, "m") is signal
    assert carried([state], outputs, "m") == {state: 1}


@pytest.mark.parametrize(
    "inputs", [[tensor("a"), tensor("b")], [PICTURE, tensor("second", (1, 32, 32, 1))]]
)
def test_no_or_several_pictures_are_refused_with_every_name(inputs: list[TensorSpec]) -> None:
    with pytest.raises(Refused) as refused:
        frames_input(inputs, [], "m")
    assert all(repr(spec.name) in refused.value.message for spec in inputs)


@settings(max_examples=50)
@given(order=st.permutations(["out/lstm_c", "out/lstm_h", "out/gru_a", "boxes"]))
def test_names_find_their_twins_in_any_order(order: list[str]) -> None:
    outputs = [tensor(name, (1, 40, 4)) if name == "boxes" else tensor(name) for name in order]
    states = [tensor("in/init_lstm_h"), tensor("in/init_gru_a"), tensor("in/init_lstm_c")]
    pairs = carried(states, outputs, "m")
    assert {state.name[-6:]: order[number][-6:] for state, number in pairs.items()} == {
        "lstm_h": "lstm_h",
        "_gru_a": "/gru_a",
        "lstm_c": "lstm_c",
    }


def test_without_names_the_order_decides() -> None:
    states, outputs = [tensor("x"), tensor("y")], [tensor("p"), tensor("q")]
    assert list(carried(states, outputs, "m").values()) == [0, 1]


@pytest.mark.parametrize(
    "outputs",
    [
        [tensor("boxes", (1, 40, 4))],
        [tensor("new", scale=0.25)],
        [tensor("new"), tensor("also_new")],
    ],
)
def test_a_state_without_exactly_one_twin_is_refused_by_name(outputs: list[TensorSpec]) -> None:
    with pytest.raises(Refused, match="input tensor 'state'"):
        carried([tensor("state")], outputs, "m")
