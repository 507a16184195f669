"""The built-in machine: the same for the same seed, whoever asks for which samples first; it wears
out as its truth says, and what it says then can be seen in its spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import UsageError
from edge_agent.sources.machine import FAULTS, Machine, MachineSpec
from edge_agent.sources.machine_world import build, pace
from edge_agent.sources.signal import Framing, Signal
from edge_agent.types import Frame

SPEC = MachineSpec(seed=3, every_s=60.0)
WINDOW = SPEC.burst


def seed_of(fault: str) -> int:
    return next(seed for seed in range(100) if MachineSpec(seed=seed).decline.fault == fault)


def spectrum(seed: int, hours: float, life_h: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and amplitudes of two seconds at that hour of a machine's life."""
    machine = Machine(MachineSpec(seed=seed, life_h=life_h))
    count = 16_000
    values = machine.vibration(int(hours * 3600 * 8000), count)[:, 0]
    return np.fft.rfftfreq(count, 1 / 8000), np.abs(np.fft.rfft(values * np.hanning(count))) / count


def energy(seed: int, hours: float, low: float, high: float) -> float:
    hertz, amplitude = spectrum(seed, hours)
    return float((amplitude[(hertz >= low) & (hertz < high)] ** 2).sum())


@given(
    seed=st.integers(0, 10**6),
    first=st.integers(0, 10**10),
    parts=st.lists(st.integers(1, 500), min_size=2, max_size=4),
    every_s=st.sampled_from([None, 1.0, 60.0]),
)
@settings(max_examples=25)
def test_a_block_is_the_same_in_one_piece_and_in_many(
    seed: int, first: int, parts: list[int], every_s: float | None
) -> None:
    machine = Machine(MachineSpec(seed=seed, every_s=every_s))
    whole = machine.vibration(first, sum(parts))
    starts = first + np.cumsum([0, *parts[:-1]])
    pieces = [machine.vibration(int(at), n) for at, n in zip(starts, parts, strict=True)]
    assert np.array_equal(whole, np.concatenate(pieces))
    assert whole.shape == (sum(parts), 1)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()


def test_another_seed_is_another_machine_and_another_moment_another_noise() -> None:
    one = Machine(MachineSpec(seed=1)).vibration(0, 1000)
    assert not np.array_equal(one, Machine(MachineSpec(seed=2)).vibration(0, 1000))
    assert not np.array_equal(one, Machine(MachineSpec(seed=1)).vibration(1000, 1000))


def test_every_fault_is_some_seed_s_and_health_falls_from_1_to_0() -> None:
    for fault in FAULTS:
        machine = Machine(MachineSpec(seed=seed_of(fault)))
        wear = machine.spec.decline
        assert 0 < wear.onset_s < wear.failure_s
        assert 40 <= wear.failure_s / 3600 <= 80
        new, worn = machine.truth(wear.onset_s - 1), machine.truth(wear.onset_s + 600)
        assert (new.health, new.fault, new.failed) == (1.0, None, False)
        assert worn.fault == fault
        moments = np.linspace(wear.onset_s, wear.failure_s, 20)
        health = [machine.truth(float(moment)).health for moment in moments]
        assert health == sorted(health, reverse=True)
        assert health[-1] == 0.0
        assert machine.truth(wear.failure_s + 1e6).failed


def test_life_h_says_when_it_fails() -> None:
    assert MachineSpec(seed=5, life_h=12.0).decline.failure_s == 12 * 3600


def test_a_healthy_machine_turns_at_its_shaft_s_frequency_and_meshes_at_its_teeth_s() -> None:
    machine = build(4)
    hertz, amplitude = spectrum(4, 1.0)
    for wanted in (machine.shaft_hz, machine.shaft_hz * machine.teeth):
        near = (hertz > wanted * 0.96) & (hertz < wanted * 1.01)  # it slips by up to 3 %
        assert amplitude[near].max() > 20 * np.median(amplitude)


@pytest.mark.parametrize(
    ("fault", "low", "high", "times"),
    [("imbalance", 20, 30, 10), ("looseness", 8, 16, 10), ("bearing", 2500, 3300, 10)],
)
def test_a_fault_shows_where_it_belongs_in_the_spectrum(
    fault: str, low: float, high: float, times: float
) -> None:
    seed = seed_of(fault)
    assert energy(seed, 10.0, low, high) > times * energy(seed, 1.0, low, high)


def test_a_flaw_in_the_outer_race_rings_each_time_a_roller_passes_it() -> None:
    """The envelope of the resonance has its peak at BPFO (Randall and Antoni, 2011)."""
    seed = seed_of("bearing")
    machine = build(seed)
    hertz, _ = spectrum(seed, 10.0)
    values = Machine(MachineSpec(seed=seed, life_h=10.0)).vibration(10 * 3600 * 8000, 16_000)
    rings = np.fft.rfft(values[:, 0])
    rings[(hertz < 2000) | (hertz > 3900)] = 0
    envelope = np.abs(np.fft.irfft(rings))
    lines = np.abs(np.fft.rfft(envelope - envelope.mean()))
    bpfo = machine.shaft_hz * machine.rollers
    found = hertz[(hertz > 40) & (hertz < 150)][lines[(hertz > 40) & (hertz < 150)].argmax()]
    assert bpfo * 0.96 < found < bpfo * 1.01


def test_once_a_day_it_stands_still_and_that_is_no_fault() -> None:
    machine = Machine(MachineSpec(seed=3, life_h=1e5))
    day = np.arange(0, 86_400, 30.0)
    still = day[pace(3, day) == 0.0]
    assert 20 * 60 - 60 < still[-1] - still[0] < 45 * 60
    truth = machine.truth(float(still[5]))
    assert not truth.running
    assert truth.health == 1.0
    loud = machine.vibration(3600 * 8000, WINDOW).std()
    quiet = machine.vibration(int(still[5] * 8000), WINDOW).std()
    assert quiet < loud / 4


def test_as_a_source_it_gives_a_window_a_minute_until_its_hours_are_over() -> None:
    spec = MachineSpec.parse("built-in:?seed=3&every_s=60&hours=0.1")
    framing = Framing(WINDOW, WINDOW, 8000.0, 1, origin=1000.0)
    source = Signal("motor", Machine(spec), framing)
    assert source.open().frames == 6
    frames = []
    while (item := source.read()) is not None:
        assert isinstance(item, Frame)
        frames.append(item)
    assert len(frames) == 6
    assert np.diff([frame.time for frame in frames]) == pytest.approx(60.0)
    assert frames[0].time == pytest.approx(1000.0 + (WINDOW - 1) / 8000)
    assert np.array_equal(frames[2].data, Machine(spec).vibration(2 * WINDOW, WINDOW))


def test_without_every_s_its_samples_follow_one_another() -> None:
    times = Machine(MachineSpec.parse("built-in:?rate_hz=16000")).times(100_000, 3)
    assert times.tolist() == pytest.approx([6.25, 6.25 + 1 / 16_000, 6.25 + 2 / 16_000])


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("built-in:?sed=7", "no setting 'sed'"),
        ("built-in:?seed=x", "'x' is no value for seed"),
        ("built-in:?life_h=-1", "'-1' is no value for life_h"),
        ("built-in:?every_s=0.1", "longer than every_s"),
        ("machine", "is no built-in machine"),
    ],
)
def test_a_wrong_uri_is_one_sentence(uri: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        MachineSpec.parse(uri)
    assert caught.value.next
