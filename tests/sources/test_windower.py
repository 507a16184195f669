"""Laws of cutting: no sample lost, none doubled, however the samples are dealt out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.sources.windower import Spoilt, Window, Windower, rate_of

PERIOD = 0.01


def numbered(count, channels=1):
    """Sample i holds i (and in the second channel -i), so that every one can be told."""
    ramp = np.arange(count, dtype=np.float32)
    return np.stack([ramp, -ramp][:channels], axis=1)


def cut(windower, values, times, sizes=()):
    found, begin = [], 0
    for size in [*sizes, len(values)]:
        end = min(len(values), begin + size)
        found += windower.add(values[begin:end], times[begin:end])
        begin = end
    return found


def steady(count, start=0.0):
    return start + np.arange(count) * PERIOD


# --- tiling --------------------------------------------------------------------------------------

blocks = st.lists(st.integers(0, 40), max_size=12)


@settings(max_examples=60)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 150), blocks, st.integers(1, 2))
def test_windows_tile_the_samples_exactly(window, hop, count, sizes, channels):
    windower = Windower(window, hop, PERIOD)
    found = cut(windower, numbered(count, channels), steady(count), sizes)
    wanted = [range(begin, begin + window) for begin in range(0, count - window + 1, hop)]
    assert [each.values[:, 0].astype(int).tolist() for each in found] == [
        list(each) for each in wanted
    ]
    assert [each.last for each in found] == [each[-1] for each in wanted]
    assert [each.time for each in found] == [each[-1] * PERIOD for each in wanted]
    assert windower.samples == count
    assert windower.gaps == windower.missing == 0


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(20, 90), blocks)
def test_windows_side_by_side_hold_every_sample_once(window, count, sizes):
    found = cut(Windower(window, window, PERIOD), numbered(count), steady(count), sizes)
    held = [int(sample) for each in found for sample in each.values[:, 0]]
    assert held == list(range(count - count % window))


@settings(max_examples=40)
@given(
    st.integers(1, 8),
    st.integers(1, 8),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    blocks,
)
def test_no_window_reaches_over_a_gap_and_each_is_counted(window, hop, runs, sizes):
    times, start = [], 0.0
    for run in runs:
        times.append(steady(run, start))
        start = times[-1][-1] + 5 * PERIOD
    windower = Windower(window, hop, PERIOD)
    found = cut(windower, numbered(sum(runs)), np.concatenate(times), sizes)
    first = 0
    wanted = []
    for run in runs:
        wanted += [first + begin + window - 1 for begin in range(0, run - window + 1, hop)]
        first += run
    assert [each.last for each in found] == wanted
    assert windower.gaps == len(runs) - 1


def test_time_that_runs_backwards_is_a_gap():
    windower = Windower(4, 4, PERIOD)
    times = np.concatenate([steady(6), steady(6)])
    assert len(cut(windower, numbered(12), times)) == 2
    assert windower.gaps == 1


def test_a_clock_coarser_than_the_samples_is_no_gap():
    """Milliseconds at 16 kHz: sixteen samples bear the same time."""
    times = np.floor(np.arange(4000) / 16) / 1000
    windower = Windower(1024, 512, 1 / 16000)
    assert len(cut(windower, numbered(4000), times, [100] * 40)) == 6
    assert windower.gaps == 0
    assert rate_of(times) == pytest.approx(16000, rel=0.01)


def test_a_little_jitter_is_no_gap():
    times = steady(200) + np.random.default_rng(3).uniform(-0.2, 0.2, 200) * PERIOD
    windower = Windower(50, 50, PERIOD)
    assert len(cut(windower, numbered(200), times, [7] * 30)) == 4
    assert windower.gaps == 0


@settings(max_examples=80)
@given(st.data(), st.integers(2, 40), st.integers(2, 12), st.integers(1, 30), st.integers(1, 30))
def test_blocks_that_come_a_little_early_or_late_tile_all_the_same(data, size, blocks, window, hop):
    """Each block has one time of its own, off by up to a quarter of it; at most one is lost."""
    lost = data.draw(st.none() | st.integers(1, blocks - 1))
    off = st.floats(-0.24, 0.24).map(lambda share: share * size * PERIOD)
    windower, found = Windower(window, hop, PERIOD), []
    for block in range(blocks):
        if block != lost:
            rows = slice(block * size, (block + 1) * size)
            times = steady(size, block * size * PERIOD + data.draw(off))
            slack = size / 2 * PERIOD
            found += windower.add(numbered(blocks * size)[rows], times, slack)
    whole = [blocks * size] if lost is None else [lost * size, (blocks - lost - 1) * size]
    starts = [0] if lost is None else [0, (lost + 1) * size]
    wanted = [
        list(range(start + begin, start + begin + window))
        for start, count in zip(starts, whole, strict=True)
        for begin in range(0, count - window + 1, hop)
    ]
    assert [each.values[:, 0].astype(int).tolist() for each in found] == wanted
    assert windower.gaps == (lost is not None and lost < blocks - 1)


def test_jitter_within_the_slack_is_counted_and_beyond_it_is_a_gap():
    windower = Windower(20, 20, PERIOD)
    times = steady(60)
    times[10] += 3 * PERIOD  # late, and the next one is where it belongs
    times[40:] += 4 * PERIOD
    assert len(list(windower.add(numbered(60), times, 3 * PERIOD))) == 3
    assert (windower.gaps, windower.jitter) == (1, 2)
    without = Windower(20, 20, PERIOD)
    list(without.add(numbered(60), times))
    assert (without.gaps, without.jitter) == (3, 0)


# --- what is missing -----------------------------------------------------------------------------


def test_a_twentieth_of_a_window_is_filled_on_a_straight_line():
    values = numbered(100, 2)
    values[40:45, 0] = np.nan
    values[60, 1] = np.inf
    windower = Windower(100, 100, PERIOD)
    (window,) = windower.add(values, steady(100))
    assert isinstance(window, Window)
    assert window.values == pytest.approx(numbered(100, 2))
    assert windower.missing == 6
    assert np.isnan(values[40:45, 0]).all(), "what was handed in stays as it was"


def test_at_the_ends_of_a_window_the_nearest_sample_stands_in():
    values = numbered(60)
    values[0] = values[-2:] = np.nan
    (window,) = Windower(60, 60, PERIOD).add(values, steady(60))
    assert window.values[0] == 1
    assert window.values[-2:].tolist() == [[57], [57]]


def test_a_window_of_which_more_is_missing_is_spoilt():
    values = numbered(200)
    values[20:26] = np.nan
    first, second = Windower(100, 100, PERIOD).add(values, steady(200))
    assert first == Spoilt("6 of 100 samples are missing", 99, 99 * PERIOD)
    assert isinstance(second, Window)


def test_nothing_is_filled_into_a_short_window():
    values = numbered(10)
    values[5] = np.nan
    (only,) = Windower(10, 10, PERIOD).add(values, steady(10))
    assert isinstance(only, Spoilt)


# --- the rate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 50.0, 16000.0])
def test_the_rate_is_told_by_the_times_gaps_left_out(rate):
    times = np.concatenate([np.arange(50) / rate, 1000 / rate + np.arange(50) / rate])
    assert rate_of(times) == pytest.approx(rate)


@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_jitter_does_not_make_the_rate_another(spread):
    """Half of the steps are out of bounds: left out one by one, they would shift it."""
    off = np.abs(np.random.default_rng(5).normal(0, spread, 128)) * PERIOD
    assert rate_of(steady(128) + off, 20 * PERIOD) == pytest.approx(100, rel=0.03)


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0, 1.0]])
def test_times_that_tell_no_rate(times):
    assert rate_of(np.array(times)) is None
