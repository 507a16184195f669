"""What one start leaves behind for the next, without a process that dies."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from edge_agent.policy.blame import SERIES, SETTLED_S, Blame
from edge_agent.service.marker import GOOD, Marker, fingerprint


class Starts:
    """Starts of an agent on one state directory, under systemd."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.run = folder / "run"
        self.config = folder / "config.yaml"
        for each in (self.state, self.run):
            each.mkdir()
        self.write("one")

    def write(self, text: str) -> None:
        self.config.write_text(text)

    @property
    def sha(self) -> str:
        return hashlib.sha256(self.config.read_bytes()).hexdigest()

    def begin(self) -> Marker:
        marker = Marker(self.state, {"RUNTIME_DIRECTORY": str(self.run)})
        marker.begin(self.sha)
        return marker

    def to_work(self) -> Marker:
        """A start that came to its work: model m in pipeline p."""
        marker = self.begin()
        marker.loading("p", "m")
        self.grip = marker.grips({"p": "m"})["p"]
        marker.running(self.sha)
        return marker


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    return Starts(tmp_path)


def test_one_that_stops_as_asked_leaves_nothing(starts: Starts) -> None:
    for _ in range(SERIES + 1):
        marker = starts.to_work()
        starts.grip.take(7)
        marker.stopped()
    assert not (starts.run / "hands").exists()
    assert starts.begin().news is None


def test_the_frame_at_work_is_known_after_the_end(starts: Starts) -> None:
    for number in range(SERIES):
        assert starts.to_work().news is None
        starts.grip.take(number)
        starts.grip.put_down(inferred=True)
        starts.grip.take(7)
    marker = starts.to_work()
    assert marker.news == Blame("frame", "p", "7")
    assert starts.grip.refused == {7}


def test_a_power_cut_is_nobodys_fault(starts: Starts) -> None:
    for _ in range(SERIES + 1):
        marker = starts.to_work()
        assert marker.news is None
        starts.grip.take(7)
        (starts.run / "hands").unlink()  # as memory is after a power cut


def test_what_holds_for_long_enough_ends_a_series_and_is_the_configuration_to_come_back_to(
    starts: Starts,
) -> None:
    for _ in range(SERIES):
        marker = starts.to_work()
        starts.grip.take(7)
        marker.look(marker._began + SETTLED_S, starts.config)
    assert starts.begin().news is None
    assert (starts.state / GOOD).read_text() == "one"
    starts.write("two")
    for _ in range(SERIES):
        assert starts.begin().news is None
    marker = starts.begin()
    assert marker.news == Blame("config", "", starts.sha)
    assert marker.good_config == (starts.state / GOOD, starts.config.parent)
    marker.running(starts.sha)
    marker.look(marker._began + SETTLED_S, starts.config)
    assert (starts.state / GOOD).read_text() == "one"  # the blamed one is never the good one


def test_a_newer_agent_tries_everything_anew(
    starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(SERIES):
        starts.begin().loading("p", "m")
    assert starts.begin().of("model", "p") == {"m"}
    monkeypatch.setattr("edge_agent.service.marker.__version__", "9.9.9")
    assert starts.begin().of("model", "p") == frozenset()


def test_a_damaged_record_costs_what_it_knew_and_nothing_else(starts: Starts) -> None:
    for text in ("", "{", "[]", '{"stage": "running"}', '{"ends": 3, "version": "0.1.0"}'):
        (starts.state / "start.json").write_text(text)
        assert starts.begin().asides == ()


def test_a_disk_that_refuses_keeps_nobody_from_starting(
    starts: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    (starts.state / "start.json").mkdir()  # nothing can take its place
    starts.to_work().stopped()
    assert "cannot be written" in caplog.text


def test_a_fingerprint_tells_pictures_and_windows_apart() -> None:
    random = np.random.default_rng(3)
    for shape in ((768, 576, 3), (7, 9000, 3), (1, 1, 3), (1024, 1), (1024,)):
        one = random.integers(0, 255, shape, np.uint8)
        other = random.integers(0, 255, shape, np.uint8)
        assert fingerprint(one) == fingerprint(one.copy())
        assert fingerprint(one) != fingerprint(other) or one.size < 8
