"""What a runtime says when it does not take a model, in one sentence a person understands.

Pure. The texts are those of LiteRT 2.3 and tflite-runtime 2.14 (`tflite/core/*.cc`, the kernels and
the XNNPACK delegate); both glue several messages together without a space. The first pattern that
fits decides; what fits none is quoted, cut to one line.
"""

from __future__ import annotations

import re

from edge_agent.errors import Refused

_OTHER_MODEL = "convert the model without it, or choose another model"
_DAMAGED = "copy the file again and compare its sha256 with the original's"
_CONVERT = "convert the model again, or choose another model"

#: (pattern, the sentence after the model's name, what to do next). {runtime} is "litert 2.3.0".
_SENTENCES: tuple[tuple[str, str, str], ...] = (
    (
        r"unresolved custom op: (?P<op>\S+?)\.?(\s|$)",
        "needs the custom operator {op}, which {runtime} does not have",
        _OTHER_MODEL,
    ),
    (
        r"builtin opcode '(?P<op>\w+)' version '(?P<n>-?\d+)'",
        "needs version {n} of the operator {op}, which {runtime} does not have",
        _OTHER_MODEL,
    ),
    (
        r"in range \[0, (?P<rank>\d+)\)\. Was (?P<axis>-?\d+)\.\s*Tensor (?P<tensor>\d+)",
        "is refused by {runtime}: tensor {tensor} is quantized along dimension {axis} "
        "and has only {rank}",
        _CONVERT,
    ),
    (
        r"(?P<why>unsupported [^.]*?) of \w+ tensor (?P<tensor>\d+) in XNNPACK",
        "is refused by {runtime}: tensor {tensor} has an {why}",
        _CONVERT,
    ),
    (
        r"Tensor (?P<tensor>\d+) (?P<why>(has|is|specifies) [^.\n]*)",
        "is refused by {runtime}: tensor {tensor} {why}",
        _CONVERT,
    ),
    (
        r"(?P<why>[^\n]*?)\.?\s*Node number (?P<n>\d+) \((?P<op>[^)]*)\) failed to (?P<verb>\w+)",
        "cannot run on {runtime}: operator {op} (node {n}) failed to {verb} ({why})",
        _CONVERT,
    ),
    (
        r"not a valid Flatbuffer|model identifier|schema version|No subgraph|Did not get|"
        r"codec can't decode|Invalid tensor index|Missing registration|inconsistent model",
        "is damaged: {runtime} cannot make sense of it",
        _DAMAGED,
    ),
    (
        r"(?P<why>tensor '.*alone takes .*MB)",
        "needs more memory than {runtime} can have: {why}",
        _CONVERT,
    ),
    (r"bad_alloc|MemoryError", "needs more memory than {runtime} can have", _CONVERT),
)
#: The place in the runtime's source that begins its messages: "tflite/kernels/conv.cc:379 ".
_PLACE = re.compile(r"\S*/\S+\.cc:\d+ ")
_LONGEST = 160


def refusal(model: str, runtime: str, error: Exception) -> Refused:
    """The error to raise in place of the runtime's `error`."""
    text = _PLACE.sub("", f"{error}") or type(error).__name__
    for pattern, sentence, what_next in _SENTENCES:
        if found := re.search(pattern, text):
            parts = {name: part.strip() for name, part in found.groupdict().items()}
            parts["why"] = parts.get("why") or "it does not say why"
            return Refused(f"{model} {sentence.format(runtime=runtime, **parts)}", what_next)
    said = text.strip().splitlines()[0][:_LONGEST]
    return Refused(f"{model} is refused by {runtime}: {said}", _CONVERT)
