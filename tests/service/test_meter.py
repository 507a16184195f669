"""Samples of several runs, merged, say what one run over all of their frames would have said."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.service.meter import KEPT, Meter, Samples

RUNS = st.lists(st.lists(st.integers(0, 1000), max_size=30), min_size=1, max_size=4)


def metered(durations: list[int]) -> Meter:
    meter = Meter()
    for duration in durations:
        meter.add_one("invoke", duration / 1000)
    return meter


@given(RUNS)
def test_merged_meters_say_what_one_would(runs: list[list[int]]) -> None:
    alone = metered([duration for run in runs for duration in run])
    # As they come from the processes of a batch.
    merged = Meter.merged([pickle.loads(pickle.dumps(metered(run))) for run in runs])
    assert merged.summary() == alone.summary()


def test_a_long_run_weighs_by_its_frames() -> None:
    long, short = Samples(), Samples()
    for _ in range(2 * KEPT):  # thinned on the way
        long.add(1.0)
    for _ in range(KEPT // 2):
        short.add(9.0)
    long.merge(short)
    assert (long.percentile(0.79), long.percentile(0.81)) == (1.0, 9.0)
    assert long.worst == 9.0
    assert len(long._values) < KEPT
