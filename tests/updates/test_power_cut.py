"""Power cuts during checks and a download: the next start goes on, nothing trusted is forgotten.

Recorded once with strace, cut at many moments (`tests/power_cut.py`); after each cut a device with
what was left on the medium checks again, against an old mirror and the honest one, and fetches.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ota_box import Box
from power_cut import Disk, record
from signed_repository import NOW, SignedRepository, rollout

from edge_agent.errors import Refused
from edge_agent.updates.place import Place

BUNDLE = bytes(range(256)) * 4000
#: Checks the old mirror, then the honest one, then fetches; says what it has done.
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ota_box import Box
from edge_agent.updates.place import Place
state, root, old, new = map(Path, sys.argv[2:])
box = Box(state, root.read_bytes(), Place.parse(str(old)))
box.check(); print("old", flush=True)
box.look_at(new)
offer = box.check(); print("new", flush=True)
box.fetch(offer.orders[0].target); print("fetched", flush=True)
box.check(); print("again", flush=True)
"""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: syncing each of many devices would take long."""
    beside = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "points",
    [40, pytest.param(1000, marks=pytest.mark.acceptance(minutes=4))],
    ids=["short", "long"],
)
def test_a_cut_at_any_moment(
    strace: str, memory: Path, tmp_path: Path, signed: SignedRepository, points: int
) -> None:
    signed.put_model(BUNDLE)
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    old = signed.copy(tmp_path / "old")
    signed.publish("models", "rollouts")
    root, state = tmp_path / "root.json", memory / "recorded"
    root.write_bytes(signed.bootstrap)
    state.mkdir()
    words = (PROGRAM, os.path.dirname(__file__) + "/..", state, root, old, signed.folder)
    recording = record(strace, [sys.executable, "-c", *words], state, 120)
    chance = random.Random(7)
    disk, left = Disk(recording, state), memory / "left"
    counted = dict.fromkeys(("old", "new", "fetched", "again"), 0)
    for moment in recording.cuts(points, chance):
        disk.play(moment)
        disk.lay_down(left, chance)
        told = disk.told.split()
        for word in told:
            counted[word] += 1
        box = Box(left, signed.bootstrap, Place.parse(str(signed.folder)))
        if "fetched" in told:
            assert (left / "staged" / "1.1.tar").read_bytes() == BUNDLE
        if "new" in told:  # trusted, so the old mirror is a rollback from now on
            box.look_at(old)
            with pytest.raises(Refused, match="rolled back"):
                box.check(NOW + 60)
            box.look_at(signed.folder)
        offer = box.check(NOW + 60)
        assert offer.orders[0].rollout == rollout()
        target = offer.orders[0].target
        assert target is not None
        assert box.fetch(target).read_bytes() == BUNDLE
    print(f"{points} power cuts, by then told: {counted}")
    assert all(counted[word] for word in ("old", "new", "fetched"))
