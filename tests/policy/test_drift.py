"""Drift: nothing while the world stays as it is, much when it does not, and little to keep."""

from __future__ import annotations

import json
import random

from edge_agent.policy.documents import dump
from edge_agent.policy.drift import BASELINE, Baseline, Sight, restored
from edge_agent.policy.envelope import to_bytes


def sight(chance: random.Random, count: int, score: float, size: float, *labels: str) -> Sight:
    seen = Sight()
    for _ in range(count):
        seen.labels[chance.choice(labels)] += 1
        seen.scores.add(min(1.0, max(0.0, chance.gauss(score, 0.08))))
        seen.sizes.add(max(0.01, chance.gauss(size, 0.03)))
    return seen


def taken(chance: random.Random) -> Baseline:
    baseline = Baseline("sha")
    while not baseline.is_taken:
        assert baseline.look(sight(chance, 100, 0.8, 0.2, "person", "car")) is None
    return baseline


def test_the_same_world_is_near_and_each_change_is_far_in_its_own_measure() -> None:
    chance = random.Random(1)
    baseline = taken(chance)
    same = baseline.look(sight(chance, 1000, 0.8, 0.2, "person", "car"))
    assert max(same.values()) < 0.15
    darker = baseline.look(sight(chance, 1000, 0.5, 0.2, "person", "car"))
    assert darker["score"] > 0.7 > 0.15 > max(darker["size"], darker["label"])
    nearer = baseline.look(sight(chance, 1000, 0.8, 0.5, "person", "car"))
    assert nearer["size"] > 0.9 > 0.15 > max(nearer["score"], nearer["label"])
    others = baseline.look(sight(chance, 1000, 0.8, 0.2, "person", "person", "dog"))
    assert others["label"] > 0.4 > 0.15 > max(others["score"], others["size"])


def test_a_thin_window_says_nothing_and_a_taken_baseline_stands() -> None:
    chance = random.Random(2)
    baseline = taken(chance)
    before = baseline.document()
    assert baseline.look(sight(chance, 10, 0.1, 0.9, "dog")) is None
    baseline.look(sight(chance, 500, 0.1, 0.9, "dog"))
    assert baseline.document() == before


def test_it_is_kept_in_a_kilobyte_whatever_the_labels_and_read_back() -> None:
    chance = random.Random(3)
    baseline = Baseline("ab" * 32)
    names = [f"{number}人" * 30 for number in range(80)]
    baseline.look(sight(chance, BASELINE, 0.5, 0.3, *names))
    assert len(to_bytes(baseline.document())) <= 1000
    again = restored(json.loads(dump(baseline.document())), "ab" * 32)
    assert again.document() == baseline.document()
    window = sight(chance, 2000, 0.5, 0.3, *names)
    assert again.look(window) == baseline.look(window)
    assert again.look(window)["label"] < 0.3


def test_another_model_begins_anew() -> None:
    kept = taken(random.Random(4)).document()
    assert not restored(kept, "other").is_taken
    assert restored(kept, "sha").is_taken
    assert not restored({}, "sha").is_taken
