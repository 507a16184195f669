"""What a repository offers, over http and from a folder, and one file of it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from ota_box import Box
from signed_repository import MODEL, NOW, SignedRepository, rollout, sha256, tree

from edge_agent.durable import locked
from edge_agent.errors import Refused, UsageError
from edge_agent.policy.rollout import Kind
from edge_agent.updates import repository as module
from edge_agent.updates.failures import Busy
from edge_agent.updates.offer import offer_document, read_offer
from edge_agent.updates.source import Now


def test_an_offer_is_every_rollout_with_its_target(box: Box, signed: SignedRepository) -> None:
    policy = b"pipelines: {}\n"
    signed.put_model(b"a bundle of bytes")
    signed.put("policies/gate/7.yaml", policy, {"name": "gate", "version": "7"})
    signed.put_rollout(rollout())
    other = rollout("gate-7", Kind.POLICY, "policies/gate/7.yaml", sha256(policy))
    signed.put_rollout(other)
    signed.publish("models", "policies", "rollouts")
    offer = box.check()
    assert [order.rollout for order in offer.orders] == [other, rollout()]
    assert [order.fault for order in offer.orders] == ["", ""]
    target = offer.orders[1].target
    assert target is not None
    assert (target.path, target.length) == (MODEL, 17)
    assert target.sha256 == sha256(b"a bundle of bytes")
    assert target.custom["family"] == "ssd"
    assert offer.versions["models"] == 2
    assert offer.expires["timestamp"] == NOW + 10 * 86_400
    assert read_offer(json.loads(json.dumps(offer_document(offer)))) == offer


def test_an_empty_repository_offers_nothing(box: Box) -> None:
    assert box.check().orders == ()


def test_a_file_comes_whole_and_once(box: Box, signed: SignedRepository) -> None:
    signed.put_model(b"x" * 300_000)
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    target = box.check().orders[0].target
    assert target is not None
    path = box.fetch(target)
    assert path == box.state / "staged" / "1.1.tar"
    assert path.read_bytes() == b"x" * 300_000
    before = path.stat()
    assert box.fetch(target).stat().st_mtime_ns == before.st_mtime_ns
    assert [each.name for each in path.parent.iterdir()] == ["1.1.tar"]


def test_a_rollout_is_read_once_and_forgotten_when_it_is_gone(
    web: Box, server, signed: SignedRepository
) -> None:
    signed.put_rollout(rollout())
    signed.publish("rollouts")
    web.check()
    server.asked.clear()
    assert web.check().orders[0].rollout == rollout()
    assert not any("people-1.1" in name for name, _ in server.asked)
    del signed.roles["rollouts"].targets["rollouts/people-1.1.json"]
    signed.publish("rollouts")
    assert web.check().orders == ()
    assert list((web.state / "ota" / "rollouts").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{}", "'schema' is missing"),
        (b'{"schema": "rollout/2"}', "rollout/2"),
        (b"not JSON", "Expecting value"),
        (b"[" * 60_000, "nested"),
        (b"x" * 70_000, "more than is read"),
        (json.dumps({"schema": "rollout/1", "id": "a"}).encode(), "missing"),
    ],
)
def test_a_rollout_that_nobody_understands_keeps_no_other_from_being_obeyed(
    stick: Box, signed: SignedRepository, content: bytes, fault: str
) -> None:
    signed.put("rollouts/odd.json", content)
    signed.put_model()
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    odd, good = stick.check().orders
    assert (odd.rollout, odd.target) == (None, None)
    assert fault in odd.fault
    assert good.rollout == rollout()


def test_a_rollout_under_another_name_is_no_order(stick: Box, signed: SignedRepository) -> None:
    content = signed.put_rollout(rollout()).read_bytes()
    del signed.roles["rollouts"].targets["rollouts/people-1.1.json"]
    signed.put("rollouts/other.json", content)
    signed.publish("rollouts")
    (order,) = stick.check().orders
    assert "its name says otherwise" in order.fault


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (replace(rollout(), version="1.2"), "version is 1.2, the role models signed for 1.1"),
        (replace(rollout(), sha256="b" * 64), "sha256 is bbb"),
        (replace(rollout(), kind=Kind.POLICY), "a policy is no target of models"),
        (replace(rollout(), target="models/people/9.tar"), "not signed for by the role models"),
        (replace(rollout(), target="elsewhere/people/1.1.tar"), "none of the folders"),
        (replace(rollout(), target="../../etc/passwd"), "none of the folders"),
    ],
)
def test_a_rollout_that_its_target_contradicts_names_none(
    stick: Box, signed: SignedRepository, changed, fault: str
) -> None:
    signed.put_model()
    signed.put_rollout(changed)
    signed.publish("models", "rollouts")
    (order,) = stick.check().orders
    assert order.target is None
    assert fault in order.fault


def test_a_target_that_is_another_since_is_not_fetched(
    stick: Box, signed: SignedRepository
) -> None:
    signed.put_model(b"the one that was offered")
    signed.put_rollout(rollout())
    signed.publish("models", "rollouts")
    target = stick.check().orders[0].target
    assert target is not None
    signed.put_model(b"another under the same name")
    signed.publish("models")
    with pytest.raises(Refused, match="not what was offered"):
        stick.fetch(target)


def test_a_folder_that_is_none_or_holds_no_repository(stick: Box, tmp_path: Path) -> None:
    stick.look_at(tmp_path / "unplugged")
    with pytest.raises(UsageError, match="there is no folder"):
        stick.check()
    stick.look_at(tmp_path)
    with pytest.raises(UsageError, match="no repository in"):
        stick.check()


def test_only_one_check_at_a_time(stick: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    stick.check()
    before = tree(stick.state)
    monkeypatch.setattr(module, "LOCK_S", 0.2)
    with locked(stick.state / "ota", 0.0, TimeoutError()), pytest.raises(Busy):
        stick.check()
    assert tree(stick.state) == before


def test_python_tuf_judges_by_the_time_that_it_was_given(stick: Box) -> None:
    """Its reference time is not public: should it move, a board with a wrong clock is at risk."""
    late = NOW + 11 * 86_400
    with closing(stick.repository()) as repository, pytest.raises(Refused, match="expired"):
        repository.refresh(Now(late))
    stick.built = late
    with pytest.raises(Refused, match="expired"):
        stick.check(now=0.0)
