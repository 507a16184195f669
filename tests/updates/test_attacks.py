"""What a thief may try, with the keys or the mirror that the thief holds: refused, for its reason.

Every attack meets a device that already trusts an honest state, over http and from a folder.
Nothing that it trusts may change on its disk; where a thief serves something that the right key did
sign, that much is taken, as TUF wants it, and nothing that follows from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from ota_box import Box
from signed_repository import MODEL, NOW, TODAY, SignedRepository, key, rollout, tree
from tuf.api.metadata import MetaFile

from edge_agent.errors import Refused
from edge_agent.updates.offer import Target
from edge_agent.updates.place import Place

DAY = 86_400


@pytest.fixture
def honest(box: Box, signed: SignedRepository) -> Target:
    """A model and its rollout that the device has seen."""
    signed.put_model()
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    target = box.check().orders[0].target
    assert target is not None
    return target


@contextmanager
def refused(box: Box, reason: str, *, also: tuple[str, ...] = ()) -> Iterator[None]:
    """Exit 4 for that reason, and every trusted file as before but those named."""
    before = tree(box.state)
    with pytest.raises(Refused, match=reason) as caught:
        yield
    assert caught.value.exit_code == 4
    assert caught.value.next
    after = tree(box.state)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {name.rpartition("/")[2] for name in changed if "spent" not in name} <= set(also)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "models", "rollouts"])
def test_a_wrong_key(box: Box, signed: SignedRepository, honest: Target, role: str) -> None:
    signed.keys[role] = ["thief"]
    if role in ("timestamp", "snapshot"):
        signed.publish()
    else:
        signed.publish(role)
    # Up to the role that is forged the right keys did sign.
    honestly = ("timestamp.json", "snapshot.json")
    also = {"timestamp": (), "snapshot": honestly[:1]}.get(role, honestly)
    with refused(box, f"not signed by enough.*{role} was signed by 0/1", also=also):
        box.check()


def test_a_root_by_a_wrong_key(box: Box, signed: SignedRepository, honest: Target) -> None:
    signed.rotate("root", "thief")
    signed.new_root()
    with refused(box, "not signed by enough.*root was signed by 0/1"):
        box.check()


def test_too_few_signatures(box: Box, signed: SignedRepository, honest: Target) -> None:
    targets = signed.roles["targets"]
    targets.add_key(key("second").public_key, "models")
    targets.delegations.roles["models"].threshold = 2
    signed.publish("targets")
    signed.keys["models"] = ["models", "second"]
    signed.publish("models")
    box.check()
    signed.keys["models"] = ["models"]
    signed.publish("models")
    with refused(box, "models was signed by 1/2", also=("timestamp.json", "snapshot.json")):
        box.check()


def test_one_key_that_signs_twice_is_one(box: Box, signed: SignedRepository, honest) -> None:
    signed.roles["targets"].delegations.roles["models"].threshold = 2
    signed.publish("targets")
    signed.keys["models"] = ["models", "models"]
    with refused(
        box, "models was signed by 1/2", also=("timestamp.json", "snapshot.json", "targets.json")
    ):
        box.check()


def test_a_rollback_to_an_older_mirror(
    box: Box, signed: SignedRepository, honest: Target, tmp_path: Path
) -> None:
    old = signed.copy(tmp_path / "old")
    signed.put_model(path="models/people/1.2.tar")
    signed.publish("models")
    box.check()
    replaced(signed.folder, old)
    with refused(box, "rolled back: .* of timestamp, 3 was trusted here"):
        box.check()


def test_a_rollback_of_one_role(box: Box, signed: SignedRepository, honest: Target) -> None:
    """By whoever holds the online keys: snapshot lists an older version of the models."""
    signed.put_model(path="models/people/1.2.tar")
    signed.publish("models")
    box.check()
    signed.snapshot.meta["models.json"] = MetaFile(2)
    signed.publish()
    with refused(box, "rolled back: .*version 2 of models, 3 was", also=("timestamp.json",)):
        box.check()


def test_a_role_that_vanishes(box: Box, signed: SignedRepository, honest: Target) -> None:
    del signed.snapshot.meta["rollouts.json"]
    signed.publish()
    with refused(box, "rolled back: .*version 0 of rollouts", also=("timestamp.json",)):
        box.check()


def test_a_freeze(box: Box, signed: SignedRepository, honest: Target) -> None:
    """A mirror that shows the same for ever: until its timestamp expires, and no longer."""
    signed.timestamp.expires = TODAY + timedelta(days=2)
    signed.stamp()
    box.check(NOW + 1 * DAY)
    with refused(box, "expired metadata: timestamp.json"):
        box.check(NOW + 3 * DAY)


@pytest.mark.parametrize("role", ["root", "snapshot", "targets", "models"])
def test_expired_metadata(box: Box, signed: SignedRepository, honest: Target, role: str) -> None:
    signed.signed(role).expires = TODAY - timedelta(days=1)
    if role == "root":
        signed.new_root()
    else:
        signed.publish(*[role] * (role in signed.roles))
    also = ("timestamp.json", "snapshot.json") if role in signed.roles else ("timestamp.json",)
    if role == "root":
        also = ("2.root.json", "root.json")
    with refused(box, f"expired metadata: .*{role}", also=also):
        box.check()


def test_mix_and_match(box: Box, signed: SignedRepository, honest: Target, tmp_path: Path) -> None:
    """Files of different moments, each signed by the right key."""
    metadata = signed.folder / "metadata"
    signed.put_model(b"another", "models/people/1.2.tar")
    signed.publish("models")
    (metadata / "3.models.json").write_bytes((metadata / "2.models.json").read_bytes())
    with refused(box, "rolled back, or mixed", also=("timestamp.json", "snapshot.json")):
        box.check()


def test_mix_and_match_of_a_hashed_snapshot(
    box: Box, signed: SignedRepository, honest: Target
) -> None:
    metadata = signed.folder / "metadata"
    signed.publish("models")
    snapshot = signed.timestamp.snapshot_meta
    snapshot.hashes = {"sha256": "0" * 64}
    signed.timestamp.version += 1
    signed.sign("timestamp")
    with refused(box, "not the bytes that were signed for", also=("timestamp.json",)):
        box.check()
    assert (metadata / "3.snapshot.json").is_file()


def test_endless_metadata(box: Box, signed: SignedRepository, honest: Target) -> None:
    (signed.folder / "metadata" / "timestamp.json").write_bytes(b"[" * 20_000)
    with refused(box, "endless data: .*more than the 16384 bytes"):
        box.check()


def test_an_endless_root(box: Box, signed: SignedRepository, honest: Target) -> None:
    (signed.folder / "metadata" / "2.root.json").write_bytes(b"[" * 600_000)
    with refused(box, "endless data: .*more than the 512000 bytes"):
        box.check()


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"null", b"[" * 9000, b'{"a":1}'])
def test_what_is_no_metadata(
    box: Box, signed: SignedRepository, honest: Target, content: bytes
) -> None:
    (signed.folder / "metadata" / "timestamp.json").write_bytes(content)
    with refused(box, "what was sent is no metadata"):
        box.check()


def test_an_endless_target(box: Box, signed: SignedRepository, honest: Target) -> None:
    model_file(signed).write_bytes(b"a bundle and then some more")
    with refused(box, "endless data: .*more than the 8 bytes signed for"):
        box.fetch(honest)


def test_a_wrong_hash(box: Box, signed: SignedRepository, honest: Target) -> None:
    model_file(signed).write_bytes(b"a Bundle")
    with refused(box, "models/people/1.1.tar is not what was signed for"):
        box.fetch(honest)


def test_a_swapped_target(box: Box, signed: SignedRepository, honest: Target) -> None:
    """Two real models under one another's names."""
    other = signed.put_model(b"another!", "models/people/1.2.tar")
    signed.publish("models")
    box.check()
    model_file(signed).write_bytes(other.read_bytes())
    with refused(box, "models/people/1.1.tar is not what was signed for"):
        box.fetch(honest)


def test_a_model_by_the_rollouts_key(box: Box, signed: SignedRepository, honest: Target) -> None:
    signed.put("models/people/6.66.tar", b"evil", {}, role="rollouts")
    signed.put_rollout(rollout("evil", target="models/people/6.66.tar"))
    signed.publish("rollouts")
    stray, evil, good = box.check().orders
    assert (stray.rollout, evil.target) == (None, None)
    for order in (stray, evil):
        assert "signed for by the role rollouts, which may not: models may" in order.fault
    assert good.target == honest
    target = Target("models/people/6.66.tar", 4, "0" * 64)
    with refused(box, "signed for by the role rollouts, which may not"):
        box.fetch(target)


def test_a_rollout_by_the_models_key(box: Box, signed: SignedRepository, honest: Target) -> None:
    signed.put_rollout(rollout("evil"), role="models")
    signed.publish("models")
    assert [order.path for order in box.check().orders] == ["rollouts/people-1.1.json"]
    with refused(box, "rollouts/evil.json is signed for by the role models, which may not"):
        box.fetch(Target("rollouts/evil.json", 4, "0" * 64))


@pytest.mark.parametrize(("role", "thief"), [("rollouts", "models"), ("models", "rollouts")])
def test_one_role_signed_by_the_key_of_another(
    box: Box, signed: SignedRepository, honest: Target, role: str, thief: str
) -> None:
    signed.keys[role] = [thief]
    signed.publish(role)
    also = ("timestamp.json", "snapshot.json")
    with refused(box, f"not signed by enough.*{role} was signed by 0/1", also=also):
        box.check()


def test_a_new_root_is_followed_and_the_old_keys_are_nothing(
    box: Box, signed: SignedRepository, honest: Target
) -> None:
    for role in ("root", "timestamp", "snapshot", "targets"):
        signed.rotate(role, f"new {role}")
    signed.new_root("root")
    signed.publish("targets")
    assert box.check().versions["root"] == 2
    signed.keys["timestamp"] = ["timestamp"]
    signed.stamp()
    with refused(box, "timestamp was signed by 0/1"):
        box.check()


def test_roots_are_walked_through_one_by_one(box: Box, signed: SignedRepository) -> None:
    """A device that was in a drawer meanwhile: every step signed by the keys before."""
    for step in range(5):
        old = signed.keys["root"][0]
        signed.rotate("root", f"root {step}")
        signed.new_root(old)
    assert box.check().versions["root"] == 6


def test_a_new_role_key_by_a_new_targets(
    box: Box, signed: SignedRepository, honest: Target
) -> None:
    """Stolen models' key: the offline targets role names another one, and revokes it."""
    targets = signed.roles["targets"]
    targets.revoke_key(key("models").public_key.keyid, "models")
    targets.add_key(key("new models").public_key, "models")
    signed.keys["models"] = ["new models"]
    signed.publish("targets", "models")
    assert box.check().orders[0].target == honest
    signed.keys["models"] = ["models"]
    signed.publish("models")
    also = ("timestamp.json", "snapshot.json")
    with refused(box, "models was signed by 0/1", also=also):
        box.check()


def test_recovery_from_a_version_that_a_thief_drove_up(
    box: Box, signed: SignedRepository, honest: Target
) -> None:
    """Fast-forward: by stolen online keys versions went to a million; new keys begin anew."""
    before = (signed.timestamp.version, signed.snapshot.version)
    signed.timestamp.version = signed.snapshot.version = 999_999
    signed.snapshot.meta["models.json"] = MetaFile(2)
    signed.publish()
    assert box.check().versions["timestamp"] == 1_000_000
    signed.timestamp.version, signed.snapshot.version = before
    signed.publish()
    with refused(box, "rolled back: .*of timestamp, 1000000 was trusted"):
        box.check()
    for role in ("timestamp", "snapshot"):
        signed.rotate(role, f"new {role}")
    signed.new_root()
    signed.publish()
    offer = box.check()
    assert offer.versions["timestamp"] == before[0] + 2
    assert offer.orders[0].target == honest


def test_another_repository_altogether(box: Box, honest: Target, tmp_path: Path) -> None:
    """Right in itself, by keys that this device never heard of."""
    other = SignedRepository(tmp_path / "other")
    for role in other.keys:
        other.keys[role] = [f"other {role}"]
    other.root.roles["timestamp"].keyids = [key("other timestamp").public_key.keyid]
    other.root.keys[key("other timestamp").public_key.keyid] = key("other timestamp").public_key
    other.root.version = 1
    other.new_root()
    other.timestamp.version = 50
    other.publish("targets", "models", "rollouts")
    box.place = Place.parse(str(other.folder))
    with refused(box, "root was signed by 0/1"):
        box.check()


def test_a_shipped_root_that_is_none(box: Box) -> None:
    box.bootstrap = b"{}"
    with refused(box, "what was sent is no metadata"):
        box.check()


def test_bytes_of_a_thief_are_never_under_a_targets_name(
    box: Box, signed: SignedRepository, honest: Target
) -> None:
    model_file(signed).write_bytes(b"a Bundle")
    with closing(box.repository()), pytest.raises(Refused):
        box.fetch(honest)
    staged = box.state / "staged"
    assert [path for path in staged.rglob("*") if path.is_file()] == []
    model_file(signed).write_bytes(b"a bundle")
    assert box.fetch(honest).read_bytes() == b"a bundle"


def model_file(signed: SignedRepository) -> Path:
    return signed.file(MODEL, signed.roles["models"].targets[MODEL])


def replaced(folder: Path, by: Path) -> None:
    """The server now hands out the other one."""
    folder.rename(folder.with_name("gone"))
    by.rename(folder)


def test_the_honest_state_is_what_the_tests_say(honest: Target, signed: SignedRepository) -> None:
    file = signed.folder / "metadata" / "timestamp.json"
    assert json.loads(file.read_bytes())["signed"]["version"] == 2
