"""A stranger's stick: nothing outside of it is read, nothing on it hangs or feeds us."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ota_box import Box
from signed_repository import MODEL, SignedRepository, rollout

from edge_agent.errors import UsageError
from edge_agent.updates.failures import NotServed, Unreachable
from edge_agent.updates.from_folder import FolderOpener
from edge_agent.updates.offer import Target


@pytest.fixture
def target(stick: Box, signed: SignedRepository) -> Target:
    signed.put_model(b"a bundle" * 50_000)
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    found = stick.check().orders[0].target
    assert found is not None
    return found


def model(signed: SignedRepository) -> Path:
    return signed.file(MODEL, signed.roles["models"].targets[MODEL])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is no plain file"),
        (Path.mkdir, "is no plain file"),
        (lambda path: path.symlink_to("/etc/passwd"), "lies outside of the repository"),
        (lambda path: path.symlink_to("/dev/zero"), "lies outside of the repository"),
        (lambda path: path.symlink_to(path.name), "is not there"),
        (lambda path: None, "is not there"),
    ],
)
def test_what_lies_there_instead_of_a_file(
    stick: Box, signed: SignedRepository, target: Target, make, reason: str
) -> None:
    model(signed).unlink()
    make(model(signed))
    with pytest.raises((NotServed, Unreachable), match=reason) as caught:
        stick.fetch(target)
    assert caught.value.next
    assert not (stick.state / "staged" / "1.1.tar").exists()


def test_a_link_within_the_repository_is_fine(
    stick: Box, signed: SignedRepository, target: Target
) -> None:
    """Some publish so; the stick as a whole may be a link, too."""
    moved = model(signed).rename(signed.folder / "elsewhere")
    model(signed).symlink_to(moved)
    link = signed.folder.with_name("stick")
    link.symlink_to(signed.folder)
    stick.look_at(link)
    assert stick.fetch(target).stat().st_size == target.length


def test_a_stick_goes_on_where_it_was(stick: Box, target: Target) -> None:
    staged = stick.state / "staged"
    staged.mkdir(parents=True)
    (staged / f".{target.sha256}.part").write_bytes(b"a bundle" * 20_000)
    assert stick.fetch(target).read_bytes() == b"a bundle" * 50_000


def test_a_stick_that_is_pulled_out(stick: Box, signed: SignedRepository, target: Target) -> None:
    opener = FolderOpener(signed.folder)
    shutil.rmtree(signed.folder)
    url = f"{signed.folder.as_uri()}/metadata/timestamp.json"
    with pytest.raises(Unreachable, match="was the stick pulled out"), opener.open(url):
        pass
    with pytest.raises(UsageError, match="there is no folder"):
        stick.fetch(target)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/x"])
def test_an_address_leads_nowhere_else(signed: SignedRepository, name: str) -> None:
    url = f"{signed.folder.as_uri()}/{name}"
    with pytest.raises(NotServed, match="lies outside"), FolderOpener(signed.folder).open(url):
        pass
