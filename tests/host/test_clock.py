"""The clock never steps, and is honest about the wall clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.host.clock import Clock, Readings, TimeServer
from edge_agent.host.fake import FakeClock


class Wrist:
    """A host's two clocks, moved by hand."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.monotonic = 100.0
        self.wall = wall
        self.synced = False

    def clock(self) -> Clock:
        return Clock(Readings(lambda: self.monotonic, lambda: self.wall, lambda: self.synced))


@given(st.lists(st.tuples(st.floats(0, 3600), st.floats(-1e9, 1e9)), max_size=20))
@settings(deadline=None)
def test_time_passes_evenly_however_the_wall_clock_jumps(
    steps: list[tuple[float, float]],
) -> None:
    wrist = Wrist()
    clock = wrist.clock()
    started = clock.now()
    passed = 0.0
    for seconds, jump in steps:
        wrist.monotonic += seconds
        wrist.wall += seconds + jump
        passed += seconds
        assert clock.now() - started == pytest.approx(passed, abs=1e-3)
        assert clock.now() + clock.wall_offset() == pytest.approx(wrist.wall, abs=1e-3)


def test_a_start_in_1970_is_corrected_by_the_offset_once_synced() -> None:
    wrist = Wrist(wall=30.0)
    clock = wrist.clock()
    assert clock.now() == 30.0
    assert not clock.synced()
    wrist.wall, wrist.synced = 1_700_000_000.0, True
    assert clock.now() == 30.0
    assert clock.wall_offset() == pytest.approx(1_700_000_000.0 - 30.0)
    assert clock.synced()


def test_the_real_clock_agrees_with_the_host_at_its_start() -> None:
    clock = Clock()
    before, now, after = time.time(), clock.now(), time.time()
    assert before - 0.5 <= now <= after + 0.5
    assert abs(clock.wall_offset()) < 0.5


def test_a_mark_of_timesyncd_is_enough_and_its_absence_asks_the_kernel(tmp_path: Path) -> None:
    mark = tmp_path / "synchronized"
    for kernel_says in (True, False):
        asked = TimeServer(mark, lambda said=kernel_says: said)  # type: ignore[misc]
        assert asked() is kernel_says
        mark.touch()
        assert asked() is True
        mark.unlink()
        assert asked() is kernel_says


def test_a_mark_from_before_somebody_set_the_clock_is_doubted(tmp_path: Path) -> None:
    """systemd-timesyncd touches it whenever it hears of a server, also after a step of its own."""
    mark, ahead, kernel = tmp_path / "synchronized", 0.0, False
    mark.touch()
    asked = TimeServer(mark, lambda: kernel, lambda: ahead)
    assert asked()
    ahead = 10 * 365 * 86400.0  # date -s
    assert not asked()
    assert not asked()
    kernel = True  # which forgets a server when the clock is set by hand
    assert asked()
    kernel = False
    os.utime(mark, (5, 5))
    assert asked()
    ahead -= 3600.0  # the daemon steps it, and says so within the same second
    os.utime(mark, (6, 6))
    assert asked()


def test_asking_whether_the_clock_is_synced_needs_no_privilege(tmp_path: Path) -> None:
    """In a child: adjtimex with a wrong buffer would end the process."""
    code = (
        "from pathlib import Path; from edge_agent.host.clock import TimeServer;"
        f"asked = TimeServer(Path({str(tmp_path / 'no')!r}));"
        "print([asked() for _ in range(100)][0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "False")


def test_the_fake_clock_keeps_the_promises_of_the_real_one() -> None:
    clock = FakeClock(time=1000.0, synced=False)
    clock.advance(5.0)
    clock.step_wall(3600.0)
    assert (clock.now(), clock.wall_offset(), clock.synced()) == (1005.0, 3600.0, True)
    with pytest.raises(ValueError, match="never steps"):
        clock.advance(-1.0)
