"""`status/1` of a built agent and of a bare database: the same keys, right reasons, true words."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from edge_agent.config.load import load
from edge_agent.errors import NoRoom, NotRunning
from edge_agent.host.clock import Clock
from edge_agent.policy.wear import Wear, from_text, to_text
from edge_agent.service.capture import SourceFacts
from edge_agent.service.control import ask
from edge_agent.service.status import LONG_QUEUE, live_status, stored_status
from edge_agent.service.surroundings import Surroundings
from edge_agent.service.waiting import Entry, GivenUp
from edge_agent.service.watch import House, Watch
from edge_agent.service.wear import WearAccount
from edge_agent.store.query import open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Draft, FramesRow
from edge_agent.types import Event, Priority, Skip
from edge_agent.uplink.link import Broker
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher, UplinkFacts

CONFIG = """\
sources: {庭: {kind: scene}, door: {kind: scene, uri: "built-in:?seed=3"}}
pipelines:
  yard: {source: 庭, model: scene-detector, rules: [{name: 侵入}]}
"""


def valid(document: dict[str, Any]) -> dict[str, Any]:
    schema = resources.files("edge_agent") / "schemas" / "status.json"
    jsonschema.validate(document, json.loads(schema.read_text("utf-8")))
    return document


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(tmp_path_factory.mktemp("state")) as store:
        store.start()
        yield store


@pytest.fixture(scope="module")
def surroundings() -> Surroundings:
    return Surroundings(Clock(), "Asia/Tokyo")


@pytest.fixture(scope="module")
def built(
    tmp_path_factory: pytest.TempPathFactory, store: Store, surroundings: Surroundings
) -> Watch:
    """Sources and a pipeline as `run` makes them, not started."""
    path = tmp_path_factory.mktemp("site") / "config.yaml"
    path.write_text(CONFIG, "utf-8")
    state = store.database.path.parent
    house = House(state, store, surroundings, lambda: None, lambda part: None)
    return Watch(load(path), path.parent, house)


@pytest.fixture
def watch(built: Watch, surroundings: Surroundings) -> Watch:
    """Both sources deliver, nothing is paused."""
    now = surroundings.now()
    for capture in built.captures.values():
        capture._facts = SourceFacts("delivering", now, frames=3)
    surroundings.paused = frozenset()
    return built


def codes(document: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in document["reasons"]]


def test_an_agent_that_delivers_is_well(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    account = watch.runners["yard"].account
    for _ in range(4):
        account.offer()
    account.skip(Skip.MOTION)
    account.fail()
    status = valid(live_status(watch, store, surroundings, None))
    assert (status["verdict"], status["reasons"], status["running"]) == ("well", [], True)
    assert status["sources"]["庭"]["frames"] == 3
    assert status["broker"] is None
    pipeline = status["pipelines"]["yard"]
    assert pipeline["ledger"] == {
        "captured": 4,
        "inferred": 0,
        "skipped": {"motion": 1},
        "failed": 1,
        "pending": 2,
    }
    assert pipeline["model"].startswith("scene-detector ")


def test_a_lost_source_is_named_with_its_reason_and_for_how_long(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    since = surroundings.now() - 200
    watch.captures["door"]._facts = SourceFacts("lost", since, 5, losses=1, reason="no answer")
    status = valid(live_status(watch, store, surroundings, None))
    assert (status["verdict"], codes(status)) == ("degraded", ["source_lost"])
    assert status["reasons"][0]["message"] == "source door is lost for 3 min 20 s: no answer"


def test_where_no_source_delivers_nobody_watches(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    since = surroundings.now() - 7
    watch.captures["door"]._facts = SourceFacts("ended", since)
    watch.captures["庭"]._facts = SourceFacts("lost", since, reason="no such file")
    status = valid(live_status(watch, store, surroundings, None))
    assert (status["verdict"], codes(status)) == ("down", ["source_lost", "source_ended"])


def test_a_paused_pipeline_comes_with_the_command_that_resumes_it(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    surroundings.paused = frozenset({"yard"})
    status = valid(live_status(watch, store, surroundings, None))
    assert (status["verdict"], codes(status)) == ("degraded", ["paused"])
    assert status["reasons"][0]["next"] == "edge-agent resume yard"


def test_a_broker_that_is_away_and_a_long_queue_are_told(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    drafts = tuple(Draft(f"summary/{n}", "summary", 1.0, "{}") for n in range(LONG_QUEUE + 1))
    store.record(Batch(messages=drafts))
    sender = Identity("d", store.identity.store, store.identity.boot, "1")
    publisher = Publisher(Broker("broker.local", 1883), sender, store.outbox, Clock())
    status = valid(live_status(watch, store, surroundings, publisher))
    assert codes(status) == ["broker_away", "backlog"]
    assert status["broker"]["broker"] == "broker.local:1883"
    assert status["queue"] == {"depth": LONG_QUEUE + 1, "oldest_seq": 1}


def test_messages_that_the_broker_refuses_are_told(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    facts = UplinkFacts("broker.local:1883", True, 1.5, "5", 1, set_aside=2)
    publisher: Any = SimpleNamespace(facts=lambda: facts)
    status = valid(live_status(watch, store, surroundings, publisher))
    assert "refused" in codes(status)
    assert status["broker"]["since"] == "1970-01-01T00:00:01.500Z"


def test_a_frame_that_failed_is_told_for_a_minute(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    runner = watch.runners["yard"]
    runner._failed = (time.monotonic(), "ValueError: odd")
    try:
        status = valid(live_status(watch, store, surroundings, None))
        assert "pipeline_failing" in codes(status)
        assert "ValueError: odd" in str(status["reasons"])
        runner._failed = (time.monotonic() - 61, "ValueError: odd")
        assert "pipeline_failing" not in codes(live_status(watch, store, surroundings, None))
    finally:
        runner._failed = (0.0, "")


def test_events_that_the_disk_does_not_take_are_told(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    recorder = watch.runners["yard"].recorder
    shown = Event(
        id="0" * 16, pipeline="yard", source="庭", rule="侵入", priority=Priority.ALERT,
        label=None, zone=None, text="", opened=0.0, seen=0.0, closed=None, close_reason=None,
        score_max=0.5, score_median=0.5, track=None, count=1, box=None, frame=0,
    )  # fmt: skip
    recorder._waiting.add(Entry((shown,), (), Batch()))
    recorder.undeclared = GivenUp().and_also((shown,), "no space")
    store.database.refusal = NoRoom("no space is left on the disk of edge.db", "see: df -h")
    try:
        status = valid(live_status(watch, store, surroundings, None))
        assert "disk_refuses" in codes(status)
        assert "1 events wait in memory" in str(status["reasons"])
        assert "events_given_up" in codes(status)
        assert "gave up events that the disk did not take: 1 of priority" in str(status["reasons"])
        assert status["verdict"] == "degraded"
    finally:
        recorder._waiting.written()
        recorder.undeclared = GivenUp()
        store.database.refusal = None


def test_every_reason_that_is_given_is_in_the_schema() -> None:
    schema = json.loads((resources.files("edge_agent") / "schemas" / "status.json").read_text())
    known = set(schema["properties"]["reasons"]["items"]["properties"]["code"]["enum"])
    files = ("service/status.py", "service/control.py", "errors.py", "service/board.py")
    text = "".join((resources.files("edge_agent") / name).read_text("utf-8") for name in files)
    given = set(re.findall(r'_reason\(\s*"(\w+)"', text)) | {NotRunning.code}
    given |= set(re.findall(r'yield "(\w+)"', text))
    given |= set(re.findall(r'silent\.code = "(\w+)"', text))
    standin = (resources.files("edge_agent") / "service/standin.py").read_text("utf-8")
    given |= set(re.findall(r'Notice\("(\w+)"', standin))
    given |= {f"camera_{label}" for label in ("black", "covered", "frozen", "blurred", "moved")}
    assert given == known


def test_a_database_tells_what_its_last_write_left(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.start()
        row = FramesRow("yard", 0.0, 60.0, 20, {"motion": 270}, pending=1)
        store.record(Batch(frames=(row,), messages=(Draft("summary/1", "summary", 1.0, "{}"),)))
    with open_reader(tmp_path) as reader:
        last = reader.last_status()
    status = valid(stored_status(last, 12_060.0, NotRunning("nobody runs", "start it")))
    assert (status["verdict"], status["running"]) == ("down", False)
    assert status["reasons"] == [
        {
            "code": "not_running",
            "message": "nobody runs; it last wrote 3 h 20 min ago, at 1970-01-01T00:01:00.000Z",
            "next": "start it",
        }
    ]
    assert status["pipelines"]["yard"]["ledger"]["captured"] == 291
    assert status["pipelines"]["yard"]["open_events"] == 0
    assert status["queue"]["depth"] == 1
    unwritten = stored_status(replace(last, written=None), 0.0, NotRunning("nobody runs"))
    assert unwritten["reasons"][0]["message"] == "nobody runs; it has written no ledger here"
    ahead = stored_status(last, 10.0, NotRunning("nobody runs"))
    assert ahead["reasons"][0]["message"].endswith("it last wrote at 1970-01-01T00:01:00.000Z")


def test_both_ways_give_the_same_keys(
    watch: Watch, store: Store, surroundings: Surroundings
) -> None:
    store.record(Batch(frames=(FramesRow("yard", 0.0, 60.0, 20, {}),)))
    live = live_status(watch, store, surroundings, None)
    state = store.database.path.parent
    with pytest.raises(NotRunning) as silence:
        ask(state, "status")
    with open_reader(state) as reader:
        stored = valid(stored_status(reader.last_status(), 0.0, silence.value))
    assert list(stored) == list(live)
    assert list(stored["pipelines"]["yard"]) == list(live["pipelines"]["yard"])


def test_what_is_written_is_told_by_both(built: Watch, store: Store) -> None:
    wear = to_text(Wear().started(0.0, 0.5).ran(600.0, 600.0, 0.01))
    store.keep_wear(wear)
    with open_reader(store.database.path.parent) as reader:
        told = valid(stored_status(reader.last_status(), 600.0, NotRunning("nobody", "")))
    assert told["written_mb_per_day"] == pytest.approx(0.5 + 1.44)
    written = iter([0.5, 4.5, 4.51])
    account = WearAccount(store, 700.0, lambda: next(written))
    account.count(760.0)  # the reserve of a new store is a part of the start, no rate
    account.count(1360.0)  # it goes on from what the store kept
    assert account.mb_per_day == pytest.approx(0.5 + 4.5 + 1.44)
    account.keep(1360.0, at_once=True)
    assert from_text(store.wear()).mb_per_day() == pytest.approx(6.44)
