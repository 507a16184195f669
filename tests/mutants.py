"""Damaged models: what a bad card, a broken download or malice makes of a sound file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from edge_agent.bundles import golden
from edge_agent.bundles.guess import NO_WISH
from edge_agent.engines import available
from edge_agent.errors import Refused
from edge_agent.service.install import import_model
from edge_agent.service.models import Demand, open_named

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


def judged(path: Path, state: Path) -> list[str]:
    """What becomes of a model file by `infer` on each engine and by `import`: a sentence, or "ran".

    Whatever else is raised is a fault of ours, and whoever calls this is the parent that must live.
    """
    verdicts = []
    for engine in available():
        try:
            opened = open_named(str(path), NO_WISH, Demand(engine), state)
            size = opened.spec.input
            frames = np.zeros((1, size.height, size.width, 3), np.uint8)
            golden.answers(opened.spec, opened.engine, frames)
            opened.engine.close()
            verdicts.append("ran")
        except Refused as refusal:
            verdicts.append(refusal.message)
    try:
        import_model(path, NO_WISH, state)
        verdicts.append("ran")
    except Refused as refusal:
        verdicts.append(refusal.message)
    return verdicts
