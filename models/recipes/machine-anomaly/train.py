"""Trains the shipped machine-anomaly and writes its bundle, and the same network before int8.

    PYTHONPATH=. python models/recipes/machine-anomaly/train.py --out build

Run from the checkout. Rules: every random number comes from a seed; healthy machines of seeds 1000
and up alone are learnt from, so that 0..999 stay unseen. `evaluate.py` judges the result.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge_agent.sources.machine import Machine, MachineSpec
from edge_agent.types import Features, SignalSpec
from models.recipes.autoencoder import Fitted, features_of, fit
from models.recipes.bundle_writer import Draft, may_write, write
from models.recipes.command import SEED, run, say

RATE_HZ, WINDOW = 8000.0, 4096
SPEC = SignalSpec(
    window=WINDOW,
    hop=WINDOW,
    rate_hz=RATE_HZ,
    features=Features("logmel", n=1024, hop=1024, log=True, mels=32, fmin=10.0, fmax=4000.0),
)
TRAIN_SEEDS = range(1000, 1048)
HELD_OUT_SEEDS = range(1048, 1064)
WINDOWS_A_SEED = 250
DAYS = 3.0
EPOCHS = 60
#: The golden set: seed 7 on its way from new to failed.
GOLDEN_SEED, GOLDEN_PARTS = 7, (0.1, 0.5, 0.85, 0.95, 1.0)


def healthy(seed: int, count: int) -> Iterator[np.ndarray]:
    """Windows (WINDOW, 1) from anywhere in the first days of a machine that does not wear."""
    machine = Machine(MachineSpec(seed=seed, rate_hz=RATE_HZ, life_h=1e5))
    moments = np.random.default_rng(SEED + seed).uniform(0, DAYS * 86_400, count)
    for first in (np.sort(moments) * RATE_HZ).astype(int).tolist():
        yield machine.vibration(first, WINDOW)


def golden() -> np.ndarray:
    """(n, WINDOW, 1): one machine from new to failed."""
    machine = Machine(MachineSpec(seed=GOLDEN_SEED, rate_hz=RATE_HZ))
    life = machine.spec.decline.failure_s
    return np.stack(
        [machine.vibration(int(part * life * RATE_HZ), WINDOW) for part in GOLDEN_PARTS]
    )


def train() -> Fitted:
    rows = np.concatenate(
        [features_of(SPEC, healthy(seed, WINDOWS_A_SEED)) for seed in TRAIN_SEEDS]
    )
    say(f"{len(rows)} windows of {len(TRAIN_SEEDS)} healthy machines")
    held_out = [window for seed in HELD_OUT_SEEDS for window in healthy(seed, WINDOWS_A_SEED)]
    return fit(SPEC, rows, held_out, EPOCHS)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("build"))
    options.add_argument("--force", action="store_true", help="replace what is there")
    chosen = options.parse_args()
    may_write(chosen.out / "machine-anomaly", force=chosen.force)
    fitted = train()
    draft = Draft(
        name="machine-anomaly",
        version="1.0.0",
        family="anomaly",
        input=fitted.spec,
        output={"threshold": fitted.threshold},
        content=fitted.content,
        golden=golden(),
        license="Apache-2.0",
        source="trained by models/recipes/machine-anomaly",
    )
    write(chosen.out / "machine-anomaly", draft)
    (chosen.out / "float.tflite").write_bytes(fitted.as_float)
    for name, content in (("float.tflite", fitted.as_float), ("model.tflite", fitted.content)):
        print(name, len(content), hashlib.sha256(content).hexdigest())
    print(f"threshold {fitted.threshold:g}")


if __name__ == "__main__":
    raise SystemExit(run(main))
