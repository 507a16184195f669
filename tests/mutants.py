"""Damaged models: what a bad card, a broken download or malice makes of a sound file."""

from __future__ import annotations

import contextlib
import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent.cli import obey
from edge_agent.engines import available

KINDS = ("random bytes", "a bit in the tables", "a bit anywhere", "truncated")
#: A file's tables lie at its two ends, the weights between them.
_ENDS = 6000


def mutant(data: bytes, number: int) -> bytes:
    """Mutant `number` of a model, the same every time; the kinds take turns."""
    chance = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    if kind == "random bytes":
        return data[: chance.choice([0, 8, 64])] + chance.randbytes(chance.randrange(1, 9000))
    if kind == "truncated":
        return data[: chance.randrange(len(data))]
    place = chance.randrange(len(data))
    if kind == "a bit in the tables":
        place = chance.choice([chance.randrange(400), len(data) - 1 - chance.randrange(_ENDS)])
    changed = bytearray(data)
    changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


@dataclass(frozen=True)
class Verdict:
    """What became of one command: 0 is an answer, 4 a refusal, 2 an input of another kind."""

    command: tuple[str, ...]
    code: int
    said: str  # on stderr
    seconds: float

    @property
    def sound(self) -> bool:
        """An answer, or one sentence (and what to do) that names the model or, where a damaged one
        asks for a signal, the picture."""
        lines = self.said.splitlines()
        if self.code == 0:
            return not lines
        names = ("edge-agent: mutant", "edge-agent: model mutant", "edge-agent: there is no signal")
        sentence = 1 <= len(lines) <= 2 and lines[0].startswith(names)
        return sentence and self.code == (2 if "no signal" in lines[0] else 4)


def judged(path: Path, state: Path, window: int | None = None) -> Iterator[Verdict]:
    """A model file by `infer` on each engine and by `models import`, in this process: whoever calls
    is the parent that must live. It gets a picture, or a `window` of so many samples."""
    given = path.with_name("grey.png" if window is None else "silence.npy")
    if window is None:
        cv2.imwrite(str(given), np.full((96, 128, 3), 128, np.uint8))
    else:
        np.save(given, np.zeros((window, 1), np.float32))
    commands = [("infer", str(path), str(given), "--engine", name) for name in available()]
    for command in (*commands, ("models", "import", str(path))):
        out, err = io.StringIO(), io.StringIO()
        began = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = obey([*command, "--state", str(state)])
        yield Verdict(command, code, err.getvalue(), time.monotonic() - began)
