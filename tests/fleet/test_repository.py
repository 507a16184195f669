"""The repository as a device sees it: python-tuf's client follows every change, killed or not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from depot import Client, Depot, make_depot
from tuf.api.exceptions import RepositoryError

from edge_agent.errors import EdgeError, Refused, UsageError
from edge_fleet import change as change_module
from edge_fleet.founding import found
from edge_fleet.keys import Keyring, read_ring
from edge_fleet.passphrase import Passphrases
from edge_fleet.repository import is_repository, open_repository
from edge_fleet.roles import ROLES
from edge_fleet.rotation import expiries, refresh, rotate, wants_refresh

DAY_S = 86_400
FRESH = count()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Depot:
    return make_depot(tmp_path_factory.mktemp("depot") / "home", time.time())


@pytest.fixture
def depot(original: Depot, tmp_path: Path) -> Depot:
    return original.copy(tmp_path / "depot")


@pytest.fixture
def now() -> float:
    return time.time()


def client(depot: Depot, tmp_path: Path) -> Client:
    return Client(depot.repo, tmp_path / f"device-{next(FRESH)}")


def test_a_device_finds_what_is_published_and_nothing_else(
    depot: Depot, tmp_path: Path, now: float
) -> None:
    device = client(depot, tmp_path)
    assert device.fetch("models/person/1.0.tar") is None
    depot.put("models/person/1.0.tar", b"one", now)
    depot.put("policies/yard/1.yaml", b"two", now)
    assert device.fetch("models/person/1.0.tar") == b"one"
    assert device.fetch("policies/yard/1.yaml") == b"two"
    depot.put("models/person/1.0.tar", b"changed", now)
    assert device.fetch("models/person/1.0.tar") == b"changed"


def test_a_role_cannot_publish_in_the_place_of_another(
    depot: Depot, tmp_path: Path, now: float
) -> None:
    """Who has the rollouts' key alone can name a model, and no device looks for it there."""
    from edge_fleet.change import changing

    with changing(depot.repo, depot.keyring(), now) as change:
        change.add("rollouts", "models/person/6.6.tar", b"evil", {})
    assert client(depot, tmp_path).fetch("models/person/6.6.tar") is None


def test_every_moment_of_a_change_is_one_whole_repository(
    depot: Depot, tmp_path: Path, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any of its writes: devices are served, and the next change goes through."""
    depot.put("models/person/1.0.tar", b"one", now)
    before = depot.copy(tmp_path / "before")
    for name, do in changes(depot, now):
        writes: list[tuple[Path, bytes]] = []
        write = change_module.write_durably
        with monkeypatch.context() as patched:
            patched.setattr(
                change_module,
                "write_durably",
                lambda path, content, write=write, writes=writes: (
                    writes.append((path, content)),
                    write(path, content),
                ),
            )
            do()
        assert len(writes) >= 2, name
        for length in range(len(writes) + 1):
            cut = before.copy(tmp_path / f"{name}-{length}")
            for path, content in writes[:length]:
                there = cut.home / path.relative_to(depot.home)
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(content)
            shutil.copytree(depot.keys, cut.keys, dirs_exist_ok=True)
            assert client(cut, tmp_path).fetch("models/person/1.0.tar") == b"one", (name, length)
            refresh(cut.repo, cut.keyring(), now)
            cut.put("policies/yard/9.yaml", b"after", now)
            assert client(cut, tmp_path).fetch("policies/yard/9.yaml") == b"after", (name, length)
        shutil.rmtree(depot.home)
        before.copy(depot.home)


def changes(depot: Depot, now: float) -> Iterator[tuple[str, object]]:
    yield "publish", lambda: depot.put("models/person/2.0.tar", b"two", now)
    for role in ("root", "timestamp", "models"):
        yield role, lambda role=role: turn(depot, role, now)


def turn(depot: Depot, role: str, now: float, *folders: Path) -> str:
    """Rotate the first key of a role; how the new one's file is called."""
    old = read_ring(depot.keys).of(role)[0].keyid
    keyring = depot.keyring(depot.keys, *folders)
    return rotate(depot.keys, depot.repo, (role, old), keyring, now)[0].file


@pytest.mark.parametrize("role", list(ROLES))
def test_devices_follow_a_lost_key(depot: Depot, tmp_path: Path, now: float, role: str) -> None:
    """The private half is gone: whoever names it appoints another, and devices go on."""
    device = client(depot, tmp_path)
    depot.put("models/person/1.0.tar", b"one", now)
    assert device.fetch("models/person/1.0.tar") == b"one"
    (depot.keys / read_ring(depot.keys).of(role)[0].file).unlink()
    turn(depot, role, now)
    depot.put("models/person/2.0.tar", b"two", now)
    assert device.fetch("models/person/2.0.tar") == b"two"
    assert client(depot, tmp_path).fetch("models/person/1.0.tar") == b"one"
    assert list(read_ring(depot.keys).thresholds) == list(ROLES)


def test_a_rotation_that_was_killed_before_it_was_noted_is_no_dead_end(
    depot: Depot, tmp_path: Path, now: float
) -> None:
    noted = (depot.keys / "roles.json").read_bytes()
    turn(depot, "models", now)
    (depot.keys / "roles.json").write_bytes(noted)
    new, old = rotate(depot.keys, depot.repo, ("models", ""), depot.keyring(), now)
    assert old.keyid not in noted.decode()
    assert [each.keyid for each in read_ring(depot.keys).of("models")] == [new.keyid]
    client(depot, tmp_path).refreshed()


def test_a_founding_that_was_killed_is_begun_again(
    original: Depot, tmp_path: Path, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root comes last: until it is there, there is no repository."""
    depot = original.copy(tmp_path / "depot")
    write, left = change_module.write_durably, [0]

    def dying(path: Path, content: bytes) -> None:
        if not left[0]:
            raise InterruptedError
        left[0] -= 1
        write(path, content)

    monkeypatch.setattr(change_module, "write_durably", dying)
    shutil.rmtree(depot.repo)
    for cut in (0, 1, 4, 6):
        left[0] = cut
        with pytest.raises(EdgeError):
            found(depot.repo, read_ring(depot.keys), depot.keyring(), now)
        assert not is_repository(depot.repo)
    left[0] = 7
    found(depot.repo, read_ring(depot.keys), depot.keyring(), now)
    client(depot, tmp_path).refreshed()


def test_a_rotated_key_signs_nothing_any_more(depot: Depot, tmp_path: Path, now: float) -> None:
    """Even with the keys that are online a thief of the old one ships nothing."""
    old = read_ring(depot.keys).of("models")[0].keyid
    turn(depot, "models", now)

    class Theft(change_module.Change):
        def _signatories(self, role: str) -> Iterator[tuple[list[str], int]]:
            yield ([old], 1) if role == "models" else self.repository.keyids(role)

    theft = Theft(depot.opened(), depot.keyring(), now)
    theft.add("models", "models/person/6.6.tar", b"evil", {})
    theft.write()
    with pytest.raises(RepositoryError, match="models was signed by 0/1 keys"):
        client(depot, tmp_path).fetch("models/person/6.6.tar")
    with pytest.raises(Refused, match="not what its keys signed"):
        depot.opened()


def test_too_few_keys_sign_nothing(depot: Depot, now: float) -> None:
    names = [each.file for each in read_ring(depot.keys).of("root")]
    for name in names[:2]:
        (depot.keys / name).unlink()
    before = sorted(path.name for path in depot.repo.rglob("*"))
    with pytest.raises(UsageError, match=r"root needs 2 keys to sign, 1 of them is here") as told:
        turn(depot, "timestamp", now)
    assert all(name in told.value.message for name in names[:2])
    assert sorted(path.name for path in depot.repo.rglob("*")) == before
    assert len(list(depot.keys.glob("timestamp-*"))) == 1, "the new key that nobody trusts is gone"


def test_keys_may_lie_in_several_folders(depot: Depot, tmp_path: Path, now: float) -> None:
    sticks = [tmp_path / "alice", tmp_path / "bob"]
    for stick, key in zip(sticks, read_ring(depot.keys).of("root"), strict=False):
        stick.mkdir()
        (depot.keys / key.file).rename(stick / key.file)
    refresh(depot.repo, depot.keyring(depot.keys, *sticks), now, ["root"])
    assert depot.opened().root.signed.version == 2
    client(depot, tmp_path).refreshed()


def test_a_wrong_passphrase_and_a_damaged_key_are_told_apart(depot: Depot, now: float) -> None:
    wrong = depot.home / "wrong"
    wrong.write_text("not the passphrase")
    keyring = Keyring((depot.keys,), Passphrases({"": wrong}))
    with pytest.raises(UsageError, match=r"does not open .*snapshot-"):
        refresh(depot.repo, keyring, now)
    key = depot.keys / read_ring(depot.keys).of("snapshot")[0].file
    key.write_text(key.read_text().replace('"role": "snapshot"', '"role": "timestamp"'))
    with pytest.raises(Refused, match="damaged"):
        refresh(depot.repo, depot.keyring(), now)


def test_a_private_key_is_nowhere_in_the_clear_and_its_owners_alone(depot: Depot) -> None:
    for key in read_ring(depot.keys).keys:
        path = depot.keys / key.file
        (signer,) = depot.keyring().signers(key.role, [key.keyid])
        assert path.stat().st_mode & 0o077 == 0
        secret = signer._private_key.private_bytes_raw()  # type: ignore[attr-defined]
        for form in (secret, secret.hex().encode(), signer.private_bytes):
            assert form not in path.read_bytes()


@pytest.mark.parametrize("role", ["timestamp", "2.snapshot", "1.targets", "1.models", "1.root"])
def test_what_was_changed_in_the_folder_is_never_signed(
    depot: Depot, now: float, role: str
) -> None:
    refresh(depot.repo, depot.keyring(), now)
    path = depot.repo / "metadata" / f"{role}.json"
    path.write_bytes(path.read_bytes().replace(b'"version"', b'"vershun"'))
    with pytest.raises(Refused, match="not what its keys signed"):
        refresh(depot.repo, depot.keyring(), now)


def test_two_writers_wait_for_one_another(depot: Depot, now: float, monkeypatch) -> None:
    monkeypatch.setattr(change_module, "PATIENCE_S", 0.2)
    with (
        change_module.holding(depot.repo),
        pytest.raises(EdgeError, match="somebody else is writing"),
    ):
        depot.put("models/person/1.0.tar", b"one", now)
    depot.put("models/person/1.0.tar", b"one", now)


def test_expiry_is_told_in_time_and_put_off_by_signing(depot: Depot, now: float) -> None:
    def soon(days: float) -> list[str]:
        found = expiries(open_repository(depot.repo), now + days * DAY_S)
        return [each.role for each in found if each.soon]

    assert soon(0) == []
    assert soon(6) == ["timestamp"]
    assert soon(340) == list(ROLES)
    assert wants_refresh(open_repository(depot.repo), now + 4 * DAY_S) == ["timestamp"]
    refresh(depot.repo, depot.keyring(), now + 340 * DAY_S, ["models"])
    assert soon(340) == ["root", "targets", "policies", "rollouts"]
