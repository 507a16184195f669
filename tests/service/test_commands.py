"""What each command does, on a real store; and that nothing else is reachable."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_agent.config.commands import Allowed
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.policy import stick
from edge_agent.policy.commands import NAMES
from edge_agent.service.commands import MOST_RESENT, Reach, handlers
from edge_agent.service.still import Still
from edge_agent.store.evidence import STILLS
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Draft
from edge_agent.types import Frame

NOW = 1_700_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "state") as store:
        store.start()
        store.named("dock-07")
        yield store


class World:
    """The parts of the agent that commands reach."""

    def __init__(self, store: Store, state: Path) -> None:
        self.store = store
        self.still = Still()
        self.resent: list[list[int]] = []
        self.paused: list[tuple[str, str | None]] = []
        self.went_back: list[tuple[str, str, str | None]] = []
        self.reach = Reach(
            state=state,
            store=store,
            now=lambda: NOW,
            told=lambda time: time,
            runners=lambda: {"yard": SimpleNamespace(still=self.still)},  # type: ignore[dict-item]
            pause=lambda name: self._said("pause", name),
            resume=lambda name: self._said("resume", name),
            resent=lambda: self.resent.append(self.pending),
            check=dict,
            rollback=lambda args: self._back("model", args),
            rollback_policy=lambda args: self._back("policy", args),
        )

    def _back(self, kind: str, args: Any) -> dict[str, Any]:
        self.went_back.append((kind, args["name"], args["reason"]))
        return {"name": args["name"], "version": None if kind == "policy" else "1"}

    def _said(self, what: str, name: str | None) -> dict[str, Any]:
        self.paused.append((what, name))
        return {"paused": []}

    def ask(self, name: str, /, publish: bool = False, **args: Any) -> Any:
        answer = handlers(Allowed((name,), publish), self.reach)[name](args)
        json.dumps(answer)  # a reply is JSON
        return answer

    def write(self, count: int) -> None:
        start = self.store.outbox.depth().last_seq
        drafts = [Draft(f"m/{start + n}", "summary", NOW, '{"n":1}') for n in range(count)]
        self.store.record(Batch(messages=tuple(drafts)))

    def send(self, *seqs: int) -> None:
        self.store.outbox.acknowledge(seqs)
        self.store.outbox.settle()

    @property
    def pending(self) -> list[int]:
        return [message.seq for message in self.store.outbox.pending(1000) if message.seq]


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path / "state")


def test_only_what_is_allowed_is_there(world: World) -> None:
    assert set(handlers(Allowed(("ping", "ack")), world.reach)) == {"ping", "ack"}
    assert set(handlers(Allowed(NAMES), world.reach)) == set(NAMES)


def test_ping_tells_how_far_the_store_has_counted(world: World) -> None:
    world.write(3)
    world.send(1)
    answer = world.ask("ping")
    assert answer["store"] == world.store.identity.store
    assert answer["pending"] == {"depth": 2, "oldest_seq": 2, "newest_seq": 3, "last_seq": 3}


def test_resend_lets_sent_rows_wait_again(world: World) -> None:
    world.write(6)
    world.send(1, 2, 3, 4)
    answer = world.ask("resend", ranges=[[2, 3], [5, 5], [90, 99]])
    assert answer == {"queued": 2, "gone": [], "lost": None}
    assert world.pending == [2, 3, 5, 6]
    assert world.resent == [[2, 3, 5, 6]]  # told when they wait
    assert world.ask("resend", ranges=[[2, 3]])["queued"] == 0


def test_resend_takes_back_acknowledgements_that_were_not_written_yet(world: World) -> None:
    world.write(3)
    world.store.outbox.acknowledge([2])
    world.ask("resend", ranges=[[2, 2]])
    assert world.pending == [1, 2, 3]


def test_what_is_not_kept_any_more_is_declared_once(world: World) -> None:
    world.write(5)
    world.send(1, 2, 3, 4)
    with world.store.database.transaction() as connection:
        connection.execute("DELETE FROM outbox WHERE seq IN (2, 3)")  # as the quota does
    answer = world.ask("resend", ranges=[[1, 4]])
    assert (answer["queued"], answer["gone"], answer["lost"]) == (2, [[2, 3]], 6)
    (declared,) = [each for each in world.store.outbox.pending(100) if each.topic == "lost"]
    assert declared.body["ranges"] == [[2, 3]]
    assert declared.body["reason"] == "quota"
    # Once more: the same declaration is sent again, no second one is made.
    world.send(1, 4, 5, 6)
    again = world.ask("resend", ranges=[[2, 3]])
    assert again == {"queued": 1, "gone": [], "lost": None}
    assert world.pending == [6]


def test_resend_of_what_was_declared_lost_sends_the_declaration(world: World) -> None:
    world.write(4)
    declared = world.store.outbox.give_up([2], "erased", NOW)
    assert declared is not None
    world.send(1, 3, 4, declared)
    assert world.ask("resend", ranges=[[1, 2]]) == {"queued": 2, "gone": [], "lost": None}
    assert world.pending == [1, declared]


@pytest.mark.parametrize(
    "args",
    [{}, {"ranges": "all"}, {"ranges": [[2, 1]]}, {"ranges": [[1, MOST_RESENT + 1]]},
     {"ranges": [[1, 1]], "store": "another"}],
)  # fmt: skip
def test_a_resend_that_makes_no_sense_has_a_sentence(world: World, args: dict[str, Any]) -> None:
    world.write(1)
    world.send(1)
    with pytest.raises(UsageError):
        world.ask("resend", **args)
    assert world.pending == []


def test_pause_and_resume(world: World) -> None:
    world.ask("pause")
    world.ask("resume", pipeline="yard")
    assert world.paused == [("pause", None), ("resume", "yard")]
    with pytest.raises(UsageError, match="args has no pipeline"):
        world.ask("pause", pipeline=7)


def test_rollback_names_a_model_or_a_policy(world: World) -> None:
    """They may be called the same, so a name alone would not say which."""
    assert world.ask("rollback", name="night") == {"name": "night", "version": "1"}
    assert world.ask("rollback", policy="night", reason="too many alarms") == {
        "policy": "night", "version": None
    }  # fmt: skip
    assert world.went_back == [
        ("model", "night", None), ("policy", "night", "too many alarms")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({}, "neither a model nor a policy"),
        ({"name": None}, "neither"),
        ({"name": "yard", "policy": "night"}, "both a model and a policy"),
        ({"policy": 7}, "no policy, a text"),
        ({"name": ""}, "no name, a text"),
        ({"name": "yard", "reason": ["x"]}, "no reason, a text"),
    ],
)
def test_a_rollback_of_nothing_or_of_two_has_a_sentence(
    world: World, args: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        world.ask("rollback", **args)
    assert world.went_back == []


def test_ack_takes_the_receipt_of_a_stick(world: World) -> None:
    world.write(2)
    store = world.store.identity.store
    tags = {
        message.seq: stick.tag(store, message.seq, message.id, message.topic, message.body)
        for message in world.store.outbox.pending(10)
        if message.seq
    }
    manifest = stick.Manifest("dock-07", store, "2023", stick.Waiting())
    receipt = json.loads(stick.write_receipt(stick.receipt_for(manifest, tags, "2023")))
    with pytest.raises(Refused, match="damaged"):
        world.ask("ack", **{**receipt, "made": "2024"})
    assert world.ask("ack", **receipt) == {"confirmed": 2, "known": 0, "gone": 0}
    assert world.pending == []


def frame(data: Any) -> Frame:
    return Frame("yard", 0, NOW, data)


def passing(still: Still, frames: Frame) -> threading.Thread:
    """A worker whose frames pass by until one is taken."""

    def pass_by() -> None:
        for _ in range(500):
            still.offer(frames)
            time.sleep(0.002)

    thread = threading.Thread(target=pass_by, daemon=True)
    thread.start()
    return thread


def test_a_snapshot_stays_on_the_device_unless_allowed(world: World) -> None:
    picture = np.full((48, 64, 3), 90, np.uint8)
    worker = passing(world.still, frame(picture))
    answer = world.ask("snapshot", pipeline="yard")
    assert "image" not in answer
    entry = answer["evidence"]
    kept = (world.reach.state / entry["path"]).read_bytes()
    assert hashlib.sha256(kept).hexdigest() == entry["sha256"]
    assert (entry["width"], entry["height"], entry["bytes"]) == (64, 48, len(kept))
    published = world.ask("snapshot", publish=True, pipeline="yard")
    assert base64.b64decode(published["image"]) == kept
    worker.join()


def test_a_frame_that_comes_too_late_is_kept_for_the_next_ask(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.service.commands.PICTURE_S", 0.05)
    with pytest.raises(EdgeError, match="no frame came"):
        world.ask("snapshot", pipeline="yard")
    world.still.offer(frame(np.zeros((4, 4, 3), np.uint8)))
    assert world.ask("snapshot", pipeline="yard")["pipeline"] == "yard"
    with pytest.raises(UsageError, match="there is no pipeline 'nowhere'"):
        world.ask("snapshot", pipeline="nowhere")
    assert world.still.take(0.01) is None
    world.still.offer(frame(np.zeros((16, 1), np.float32)))
    with pytest.raises(UsageError, match="a signal"):
        world.ask("snapshot", pipeline="yard")


def test_pictures_that_were_asked_for_do_not_fill_the_disk(world: World) -> None:
    for number in range(STILLS + 5):
        picture = np.full((8, 8, 3), number, np.uint8)
        world.still.take(0.0)
        world.still.offer(Frame("yard", number, NOW + number, picture))
        world.ask("snapshot", pipeline="yard")
    kept = sorted((world.reach.state / "evidence/stills").iterdir())
    assert len(kept) == STILLS
    assert kept[0].name.startswith(f"{round((NOW + 5) * 1000):015}")
