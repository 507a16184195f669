"""The runtimes' own words become one sentence. Every text here was said by one of them."""

from __future__ import annotations

import pytest

from edge_agent.engines.refusal import refusal

SAID = {
    "Encountered unresolved custom op: fake-op-double.\nSee instructions: https://www.tensorflow.org"
    "/lite/guide/ops_custom Node number 0 (fake-op-double) failed to prepare.": (
        "m needs the custom operator fake-op-double, which litert 2.3.0 does not have"
    ),
    "Didn't find op for builtin opcode 'SOFTMAX' version '77'. An older version of this builtin "
    "might be supported. Are you using an old TFLite binary with a newer model?\n"
    "Registration failed.\n": (
        "m needs version 77 of the operator SOFTMAX, which litert 2.3.0 does not have"
    ),
    "quantized_dimension must be in range [0, 1). Was 3.Tensor 33 has invalid quantization "
    "parameters.quantized_dimension must be in range [0, 1). Was 3.Tensor 36 has invalid": (
        "m is refused by litert 2.3.0: tensor 33 is quantized along dimension 3 and has only 1"
    ),
    "unsupported zero-point value (6488064) in channel 33 of INT32 tensor 7 in XNNPACK delegate"
    "unsupported datatype (INT32) of tensor 7 in XNNPACK delegatefailed to create XNNPACK Value "
    "for tensor 7Node number 31 (TfLiteXNNPackDelegate) failed to prepare.": (
        "m is refused by litert 2.3.0: tensor 7 has an unsupported zero-point value (6488064) in "
        "channel 33"
    ),
    "QuantizationParam has 3 zero_point values and 1 scale values. Must have same number.Tensor 4 "
    "has invalid quantization parameters.": (
        "m is refused by litert 2.3.0: tensor 4 has invalid quantization parameters"
    ),
    "/tensorflow/tensorflow/lite/core/subgraph.cc:812 required_bytes != bytes (64 != 32)Tensor 9 "
    "is invalidly specified in schema.\n": (
        "m is refused by litert 2.3.0: tensor 9 is invalidly specified in schema"
    ),
    "Tensor 5 specifies out of range buffer 900 (only 90 buffers).\n": (
        "m is refused by litert 2.3.0: tensor 5 specifies out of range buffer 900 (only 90 buffers)"
    ),
    "tflite/kernels/conv.cc:379 output->type != input_type (FLOAT32 != INT8)Node number 2 "
    "(CONV_2D) failed to prepare.": (
        "m cannot run on litert 2.3.0: operator CONV_2D (node 2) failed to prepare "
        "(output->type != input_type (FLOAT32 != INT8))"
    ),
    "Node number 3 (RESHAPE) failed to invoke.": (
        "m cannot run on litert 2.3.0: operator RESHAPE (node 3) failed to invoke "
        "(it does not say why)"
    ),
    "The model is not a valid Flatbuffer buffer": (
        "m is damaged: litert 2.3.0 cannot make sense of it"
    ),
    "Invalid tensor index -1459617767 in node inputs. The subgraph has 71 tensors\n"
    "AllocateTensors() called on inconsistent model.": (
        "m is damaged: litert 2.3.0 cannot make sense of it"
    ),
    "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte": (
        "m is damaged: litert 2.3.0 cannot make sense of it"
    ),
    "std::bad_alloc": "m needs more memory than litert 2.3.0 can have",
    "Something new.\nWith a second line.": "m is refused by litert 2.3.0: Something new.",
    "": "m is refused by litert 2.3.0: RuntimeError",
}


@pytest.mark.parametrize("text", SAID)
def test_a_runtimes_words_become_one_sentence(text: str) -> None:
    error = refusal("m", "litert 2.3.0", RuntimeError(text))
    assert error.message == SAID[text]
    assert error.next
