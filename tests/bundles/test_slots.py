"""Installed models: complete or not there, one in charge, the one before kept."""

from __future__ import annotations

import fcntl
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_agent.bundles import folders, slots
from edge_agent.errors import EdgeError, UsageError
from edge_agent.policy.slots import Broken, Probation, Slots


def put(state: Path, name: str, slot: str) -> Path:
    with folders.staging(state, name) as staged:
        (staged / "manifest.yaml").write_text("x")
        (staged / "model.tflite").write_bytes(b"y")
        return folders.install(state, name, staged, slot)


def activate(state: Path, name: str, slot: str) -> Slots:
    return slots.change(state, name, lambda found: found.with_active(slot, 5.0, None))


def test_the_switch_keeps_the_one_before(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    assert slots.active_folders(tmp_path) == {}
    assert slots.read_slots(tmp_path, "people").candidate == "2-bb"
    activate(tmp_path, "people", "1-aa")
    found = activate(tmp_path, "people", "2-bb")
    assert (found.active, found.previous, found.candidate) == ("2-bb", "1-aa", None)
    assert found == slots.read_slots(tmp_path, "people")
    assert slots.active_folders(tmp_path)["people"].name == "2-bb"
    assert [folder.name for folder in slots.installed(tmp_path, "people")] == ["1-aa", "2-bb"]
    known = found.known["2-bb"]
    assert (known.activated, known.activations) == (5.0, 1)
    assert known.installed is not None
    assert abs(known.installed - time.time()) < 60


def test_the_file_that_older_agents_wrote_is_read(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    (tmp_path / "models/people/slots.json").write_text('{"active": "2-bb", "previous": "1-aa"}')
    found = slots.read_slots(tmp_path, "people")
    assert (found.active, found.previous, found.probation) == ("2-bb", "1-aa", None)


def test_at_most_two_and_what_waits_are_kept(tmp_path: Path) -> None:
    for slot in ("1-aa", "2-bb", "3-cc", "4-dd"):
        put(tmp_path, "people", slot)
    activate(tmp_path, "people", "1-aa")
    assert folders.prune(tmp_path, "people") == ("2-bb", "3-cc")
    activate(tmp_path, "people", "4-dd")
    (tmp_path / "models/people/3-cc").mkdir()  # a removal that was cut short
    assert folders.prune(tmp_path, "people") == ()
    there = {path.name for path in (tmp_path / "models/people").iterdir()}
    assert there == {"1-aa", "4-dd", "slots.json"}
    put(tmp_path, "people", "5-ee")
    activate(tmp_path, "people", "5-ee")
    assert folders.prune(tmp_path, "people") == ("1-aa",)
    assert set(slots.read_slots(tmp_path, "people").known) == {"4-dd", "5-ee"}


def test_the_one_that_comes_back_cannot_be_removed(tmp_path: Path) -> None:
    for slot in ("1-aa", "2-bb"):
        put(tmp_path, "people", slot)
    activate(tmp_path, "people", "1-aa")
    trial = Probation("1-aa", 1.0)
    slots.change(tmp_path, "people", lambda found: found.with_active("2-bb", 1.0, trial))
    with pytest.raises(UsageError, match="comes back if 2 does not prove itself"):
        folders.remove(tmp_path, "people", "1-aa")


def test_changes_of_several_processes_do_not_lose_one_another(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")

    def add(number: int) -> None:
        broken = Broken("x", float(number), "")
        slots.change(tmp_path, "people", lambda found: found.with_broken(f"{number}", broken))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(12)))
    assert set(slots.read_slots(tmp_path, "people").broken) == {f"{n}" for n in range(12)}


def test_who_waits_for_a_process_that_hangs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "people", "1-aa")
    monkeypatch.setattr(slots, "PATIENCE_S", 0.1)
    holder = os.open(tmp_path / "models", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(EdgeError, match="another process has been changing"):
            activate(tmp_path, "people", "1-aa")
    finally:
        os.close(holder)
    assert slots.read_slots(tmp_path, "people").active is None


def test_a_slot_is_installed_once(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    with pytest.raises(UsageError, match="installed already"):
        put(tmp_path, "people", "1-aa")


def test_what_is_being_staged_is_not_listed(tmp_path: Path) -> None:
    with folders.staging(tmp_path, "people") as staged:
        (staged / "manifest.yaml").write_text("half a bundle")
        assert slots.installed_names(tmp_path) == ()
        assert slots.installed(tmp_path, "people") == ()


def test_of_a_staging_that_failed_nothing_is_left(tmp_path: Path) -> None:
    def fail() -> None:
        with folders.staging(tmp_path, "people") as staged:
            (staged / "manifest.yaml").write_text("half a bundle")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list((tmp_path / "models").iterdir()) == []


def test_what_a_killed_import_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    left, running = (tmp_path / "models/people" / name for name in (".staged-a", ".staged-b"))
    for folder in (left, running):
        folder.mkdir(parents=True)
    long_ago = time.time() - 7200
    os.utime(left, (long_ago, long_ago))
    put(tmp_path, "people", "1-aa")
    assert (left.exists(), running.exists()) == (False, True)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"active": 5}', '{"active": "2-bb"}', '{"active": "../people/1-aa"}', "\udcff"],
)
def test_a_damaged_slots_file_puts_nothing_in_charge(tmp_path: Path, content: str) -> None:
    put(tmp_path, "people", "1-aa")
    activate(tmp_path, "people", "1-aa")
    (tmp_path / "models/people/slots.json").write_text(content, errors="surrogateescape")
    assert slots.active_folders(tmp_path) == {}


def test_remove_takes_every_version(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    folders.remove(tmp_path, "people")
    assert slots.installed_names(tmp_path) == ()
    with pytest.raises(UsageError, match="no installed model 'people'"):
        folders.remove(tmp_path, "people")


def test_one_version_can_be_removed_unless_it_is_in_charge(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    activate(tmp_path, "people", "1-aa")
    with pytest.raises(UsageError, match="version 1 of model people is active"):
        folders.remove(tmp_path, "people", "1-aa")
    activate(tmp_path, "people", "2-bb")
    folders.remove(tmp_path, "people", "1-aa")
    found = slots.read_slots(tmp_path, "people")
    assert (found.active, found.previous) == ("2-bb", None)
    assert set(found.known) == {"2-bb"}


@pytest.mark.parametrize("name", ["..", ".", "", "../..", "people/../.."])
def test_nothing_outside_of_the_models_is_ever_removed(tmp_path: Path, name: str) -> None:
    put(tmp_path, "people", "1-aa")
    (tmp_path / "edge.db").write_text("precious")
    with pytest.raises(UsageError, match="no installed model"):
        folders.remove(tmp_path, name)
    assert (tmp_path / "edge.db").exists()
    assert slots.installed_names(tmp_path) == ("people",)
