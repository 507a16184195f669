"""Judges a machine-anomaly on machines that its training never saw, before and after int8.

    PYTHONPATH=. python models/recipes/machine-anomaly/evaluate.py \
        models/machine-anomaly build/float.tflite

Run from the checkout. The first is the bundle, what follows are other .tflite of the same input.
Prints the ROC AUC of worn against healthy windows; then, with the rule of the card
(`score_above: model, for_s: 600`, a window a minute), how long before its failure each machine is
reported, and how many false alarms there are in a week of each.

Worn is a severity of 0.3 or more (health 0.7 or less) of a machine that runs; healthy is every
moment before the wear begins, standing still and fork-lifts included.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from datetime import UTC
from pathlib import Path

import numpy as np

from edge_agent.bundles.bundle import MODEL, open_bundle
from edge_agent.pipeline.rules import Rules, RulesSpec
from edge_agent.pipeline.rulespec import RuleSpec, Sight
from edge_agent.pipeline.schedule import Calendar
from edge_agent.policy.statistics import auc
from edge_agent.sources.machine import Machine, MachineSpec
from edge_agent.types import Detection
from models.recipes.tflite import Asked

WORN = 0.3
EVERY_S, FOR_S = 60.0, 600.0
WEEK_H = 168.0


def windows(spec: MachineSpec, first: float, last: float) -> Iterator[tuple[float, np.ndarray]]:
    """Time and window of every burst between two moments, in seconds."""
    machine, every_s = Machine(spec), spec.every_s or EVERY_S
    for burst in range(int(first / every_s), int(last / every_s)):
        yield burst * every_s, machine.vibration(burst * spec.burst, spec.burst)


def healthy_and_worn(asked: Asked, spec: MachineSpec, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of that many moments of each half of a machine's life."""
    machine, wear = Machine(spec), spec.decline
    before = np.linspace(0, wear.onset_s, count, endpoint=False)
    after = [
        moment
        for moment in np.linspace(wear.onset_s, wear.failure_s, 2 * count)
        if machine.truth(moment).health <= 1 - WORN and machine.truth(moment).running
    ]
    healthy, worn = (
        asked.scores(machine.vibration(int(t * spec.rate_hz), spec.burst) for t in moments)
        for moments in (before, after)
    )
    return healthy, worn


def alarms(
    asked: Asked, threshold: float, heard: Iterable[tuple[float, np.ndarray]]
) -> list[float]:
    """When the rule of the card opens an event."""
    rule = RuleSpec("worn", score_above=threshold, for_s=FOR_S, clear_below=0.8 * threshold)
    rules, calendar = Rules(RulesSpec("motor", "motor", (rule,))), Calendar(UTC)
    opened: list[float] = []
    for index, (time, window) in enumerate(heard):
        found: tuple[Detection, ...] = asked(window)
        sight = Sight(index, time, None, (), found, True, False, calendar)
        opened += [event.opened for event in rules.step(sight).opened]
    return opened


def report(asked: Asked, threshold: float, seeds: list[int], weeks: int) -> None:
    pairs = {seed: healthy_and_worn(asked, MachineSpec(seed=seed), 200) for seed in seeds}
    for seed, (healthy, worn) in pairs.items():
        fault = MachineSpec(seed=seed).decline.fault
        print(f"  seed {seed:4} {fault:10} AUC {auc(worn, healthy):.4f}")
    healthy, worn = (np.concatenate(side) for side in zip(*pairs.values(), strict=True))
    print(f"  all  AUC {auc(worn, healthy):.4f}  of {len(healthy)} healthy and {len(worn)} worn")
    for seed in seeds:
        spec = MachineSpec(seed=seed, every_s=EVERY_S)
        wear = spec.decline
        opened = alarms(asked, threshold, windows(spec, wear.onset_s - 14_400, wear.failure_s))
        early = f"{(wear.failure_s - opened[0]) / 3600:.1f} h early" if opened else "MISSED"
        worn_h = (wear.failure_s - wear.onset_s) / 3600
        print(f"  seed {seed:4} {wear.fault:10} wears for {worn_h:.1f} h, reported {early}")
    for seed in seeds[:weeks]:
        spec = MachineSpec(seed=seed, every_s=EVERY_S, life_h=1e5)
        opened = alarms(asked, threshold, windows(spec, 0, WEEK_H * 3600))
        print(f"  seed {seed:4} {len(opened)} false alarms in a week")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("bundle", type=Path)
    options.add_argument("others", type=Path, nargs="*")
    options.add_argument("--seeds", type=int, nargs="+", default=[7, *range(100, 111)])
    options.add_argument("--weeks", type=int, default=6, help="of that many seeds")
    chosen = options.parse_args()
    bundle = open_bundle(chosen.bundle)
    threshold = bundle.manifest.output.threshold
    for path in (chosen.bundle / MODEL, *chosen.others):
        print(path)
        asked = Asked(path.read_bytes(), "anomaly", bundle.manifest.input.spec())
        report(asked, threshold, chosen.seeds, chosen.weeks)


if __name__ == "__main__":
    main()
