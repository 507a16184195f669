"""Trust over time: damage, power cuts, clocks that lie; never below what is still known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ota_box import Box
from signed_repository import NOW, SignedRepository, rollout, tree

from edge_agent.errors import EdgeError, Refused
from edge_agent.updates import built as module
from edge_agent.updates.built import built
from edge_agent.updates.source import Now

DAY = 86_400
FILES = ["timestamp", "snapshot", "targets", "models", "rollouts", "root"]


@pytest.fixture
def known(stick: Box, signed: SignedRepository) -> Box:
    """A device that has seen the repository at its second version."""
    signed.put_model()
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    stick.check()
    return stick


def metadata(box: Box) -> Path:
    return box.state / "ota" / "metadata"


# --- damage --------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_bytes(os.urandom(500))


def swell(path: Path) -> None:
    path.write_bytes(b" " * 6_000_000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("else")


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut, empty, scramble, swell, folder, dangling])
@pytest.mark.parametrize("role", FILES)
def test_damaged_metadata_is_set_aside_and_fetched_anew(
    known: Box, role: str, damage: Callable[[Path], None]
) -> None:
    before = tree(metadata(known))
    file = metadata(known) / f"{role}.json"
    if role == "root":  # a link into root_history, as python-tuf has it
        file = file.resolve() if damage in (cut, empty, scramble, swell) else file
    damage(file)
    offer = known.check()
    assert offer.orders[0].rollout == rollout()
    if not (
        role == "root" and damage is dangling
    ):  # a link that leads nowhere is no damage to keep
        assert offer.damaged == (f"{role}.json",)
    after = {
        name: kept for name, kept in tree(metadata(known)).items() if not name.startswith("damaged")
    }
    assert after == before
    assert known.check().damaged == ()


@pytest.mark.parametrize("damage", [gone, cut])
@pytest.mark.parametrize("role", [*FILES, "everything"])
def test_damage_lets_no_old_repository_pass(
    known: Box, signed: SignedRepository, tmp_path: Path, role: str, damage
) -> None:
    old = signed.copy(tmp_path / "old")
    signed.put_model(path="models/people/1.2.tar")
    signed.publish("models")
    known.check()
    known.look_at(old)
    roles = FILES if role == "everything" else [role]
    for each in roles:
        damage((metadata(known) / f"{each}.json").resolve())
    with pytest.raises(Refused, match=r"rolled back: .* of timestamp, 3 was trusted here"):
        known.check()
    known.look_at(signed.folder)
    assert known.check().versions["models"] == 3


def test_damage_of_all_metadata_and_an_older_root(
    known: Box, signed: SignedRepository, tmp_path: Path
) -> None:
    """The keys of timestamp were replaced; a mirror that hides the new root is no way back."""
    old = signed.copy(tmp_path / "old")
    signed.rotate("timestamp", "new timestamp")
    signed.new_root()
    signed.publish()
    known.check()
    shutil.rmtree(metadata(known))
    known.look_at(old)
    with pytest.raises(Refused, match=r"rolled back: .*version 1 of root, 2 was trusted here"):
        known.check()


def test_a_record_that_is_damaged_costs_only_what_it_knew(
    known: Box, signed: SignedRepository, tmp_path: Path
) -> None:
    old = signed.copy(tmp_path / "old")
    signed.publish("models")
    known.check()
    (known.state / "ota" / "trusted.json").write_bytes(b"{")
    known.look_at(old)
    with pytest.raises(Refused, match="rolled back"):  # python-tuf's own memory
        known.check()
    known.look_at(signed.folder)
    assert known.check().versions["models"] == 3


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_folder_that_is_none(known: Box, tmp_path: Path, what: str) -> None:
    shutil.rmtree(metadata(known))
    if what == "file":
        metadata(known).write_text("not a folder")
    else:
        metadata(known).symlink_to(tmp_path)
    assert known.check().orders[0].rollout == rollout()
    assert metadata(known).is_dir()
    assert not metadata(known).is_symlink()


def test_a_history_of_roots_that_is_damaged(known: Box, signed: SignedRepository) -> None:
    for _ in range(3):
        signed.new_root()
    known.check()
    (metadata(known) / "root_history" / "3.root.json").write_bytes(b"")
    assert known.check().versions["root"] == 4
    shutil.rmtree(metadata(known) / "root_history")
    (metadata(known) / "root_history").write_text("not a folder")
    offer = known.check()
    assert offer.versions["root"] == 4
    assert "root_history" in offer.damaged


def test_a_state_that_cannot_be_written_is_one_sentence(
    signed: SignedRepository, stick: Box, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(EdgeError, match=r"state.*(Not a directory|File exists)"):
        stick.check()


# --- time --------------------------------------------------------------------------------


def test_a_clock_of_1970_takes_what_is_good_by_the_packages_date(
    known: Box, signed: SignedRepository
) -> None:
    known.built = NOW - 30 * DAY
    assert known.check(0.0, synced=False).orders[0].rollout == rollout()


def test_a_clock_of_1970_refuses_what_expired_before_the_package_was_built(known: Box) -> None:
    known.built = NOW + 11 * DAY
    before = tree(metadata(known))
    with pytest.raises(Refused, match="expired metadata"):
        known.check(0.0, synced=False)
    assert tree(metadata(known)) == before


def test_a_clock_that_went_back_is_held_to_what_it_said_when_it_was_kept(known: Box) -> None:
    known.check(NOW + 9 * DAY)
    with closing(known.repository()) as repository:
        assert repository._trust.reference(Now(0.0, False)).timestamp() == NOW + 9 * DAY


def test_a_clock_that_nobody_keeps_leaves_nothing_behind(
    known: Box, signed: SignedRepository
) -> None:
    """Ten years ahead: refused, and fine again as soon as the clock is right."""
    with pytest.raises(Refused, match="expired metadata"):
        known.check(NOW + 3650 * DAY, synced=False)
    known.check(NOW + 5 * DAY, synced=False)
    with closing(known.repository()) as repository:
        assert repository._trust.reference(Now(0.0, False)).timestamp() == NOW
    assert known.check().orders[0].rollout == rollout()


def test_the_package_says_when_it_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_files = built()
    assert from_files > 1_700_000_000  # a checkout: of its files
    (tmp_path / module.FILE).write_text("1796036915")
    monkeypatch.setattr(module.resources, "files", lambda package: tmp_path)
    assert built() == 1_796_036_915
    (tmp_path / module.FILE).write_text("yesterday")
    assert built() == from_files
