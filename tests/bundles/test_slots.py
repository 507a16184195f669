"""Installed models: complete or not there, one in charge, the one before kept."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edge_agent.bundles import slots
from edge_agent.errors import UsageError


def put(state: Path, name: str, slot: str) -> Path:
    with slots.staging(state, name) as staged:
        (staged / "manifest.yaml").write_text("x")
        (staged / "model.tflite").write_bytes(b"y")
        return slots.install(state, name, staged, slot)


def test_the_switch_keeps_the_one_before(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    assert slots.active_folders(tmp_path) == {}
    slots.activate(tmp_path, "people", "1-aa")
    assert slots.activate(tmp_path, "people", "2-bb") == slots.Slots("2-bb", "1-aa")
    assert slots.active_folders(tmp_path)["people"].name == "2-bb"
    assert [folder.name for folder in slots.installed(tmp_path, "people")] == ["1-aa", "2-bb"]
    assert slots.activate(tmp_path, "people", "2-bb") == slots.Slots("2-bb", "1-aa")


def test_a_slot_is_installed_once(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    with pytest.raises(UsageError, match="installed already"):
        put(tmp_path, "people", "1-aa")


def test_what_is_being_staged_is_not_listed(tmp_path: Path) -> None:
    with slots.staging(tmp_path, "people") as staged:
        (staged / "manifest.yaml").write_text("half a bundle")
        assert slots.installed_names(tmp_path) == ()
        assert slots.installed(tmp_path, "people") == ()


def test_of_a_staging_that_failed_nothing_is_left(tmp_path: Path) -> None:
    def fail() -> None:
        with slots.staging(tmp_path, "people") as staged:
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
    slots.activate(tmp_path, "people", "1-aa")
    (tmp_path / "models/people/slots.json").write_text(content, errors="surrogateescape")
    assert slots.active_folders(tmp_path) == {}


def test_remove_takes_every_version(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    slots.remove(tmp_path, "people")
    assert slots.installed_names(tmp_path) == ()
    with pytest.raises(UsageError, match="no installed model 'people'"):
        slots.remove(tmp_path, "people")


def test_one_version_can_be_removed_unless_it_is_in_charge(tmp_path: Path) -> None:
    put(tmp_path, "people", "1-aa")
    put(tmp_path, "people", "2-bb")
    slots.activate(tmp_path, "people", "1-aa")
    with pytest.raises(UsageError, match="version 1 of model people is active"):
        slots.remove(tmp_path, "people", "1-aa")
    slots.activate(tmp_path, "people", "2-bb")
    slots.remove(tmp_path, "people", "1-aa")
    assert slots.read_slots(tmp_path, "people") == slots.Slots("2-bb", None)


@pytest.mark.parametrize("name", ["..", ".", "", "../..", "people/../.."])
def test_nothing_outside_of_the_models_is_ever_removed(tmp_path: Path, name: str) -> None:
    put(tmp_path, "people", "1-aa")
    (tmp_path / "edge.db").write_text("precious")
    with pytest.raises(UsageError, match="no installed model"):
        slots.remove(tmp_path, name)
    assert (tmp_path / "edge.db").exists()
    assert slots.installed_names(tmp_path) == ("people",)
