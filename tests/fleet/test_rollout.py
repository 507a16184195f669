"""A rollout at the desk, with a real repository and a real archive: people and the controller."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import reports
from depot import PASSPHRASE, Client, Depot, make_depot
from desk import ROOT

from edge_agent.cli import obey
from edge_agent.errors import EdgeError, UsageError
from edge_agent.policy.rollout import Mode, Rollout, State, parse
from edge_fleet.archive import Archive, open_archive
from edge_fleet.change import changing
from edge_fleet.cli import root
from edge_fleet.controller import Desk, check_keys, look, only_one
from edge_fleet.decide import newcomers
from edge_fleet.keys import read_ring
from edge_fleet.rotation import wants_refresh
from edge_fleet.standing import rollout, rollouts

HOUR_S = 3600.0
FLEET = {f"d{n:02}": {"ring": "canary"} if n < 3 else {} for n in range(12)}
PLAN = """\
id: {id}
model: person
version: "{version}"
stages:
  - {{name: shadow, mode: shadow, percent: 40, at_least: {{devices: 2, hours: 1}}}}
  - {{name: canary, tags: {{ring: canary}}, at_least: {{devices: 3, hours: 1}}}}
  - {{name: all, percent: 100, at_least: {{devices: 5, hours: 1}}}}
"""
Said = tuple[int, str, str]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Depot:
    depot = make_depot(tmp_path_factory.mktemp("depot") / "home", time.time())
    with changing(depot.repo, depot.keyring(), time.time()) as change:
        for version in ("1", "2"):
            custom = {"name": "person", "version": version, "sha256": version * 64}
            change.add("models", f"models/person/{version}.tar", version.encode(), custom)
    return depot


@dataclass
class Office:
    """A person's desk: commands, a clock that can be set for the controller, devices that speak."""

    depot: Depot
    archive: Archive
    obeyed: Callable[..., Said]
    plans: Path
    now: float

    def __call__(self, *words: str | Path) -> Said:
        return self.obeyed(*words)

    def create(self, id_: str = "r1", version: str = "2") -> Said:
        path = self.plans / f"{id_}.yaml"
        path.write_text(PLAN.format(id=id_, version=version))
        return self("rollout", "create", path)

    def order(self, id_: str = "r1") -> Rollout:
        return rollout(self.depot.opened(), id_).standing.order

    def say(self, *payloads: bytes) -> None:
        self.archive.keep(reports.messages(*payloads), "mqtt", self.now)

    def succeed(self, id_: str = "r1") -> None:
        """Everybody who came with the present stage does what is asked."""
        order = self.order(id_)
        self.say(
            *(
                reports.report(device, order, "shadow" if mode is Mode.SHADOW else "committed")
                for device, mode in newcomers(order, FLEET).items()
            )
        )

    def later(self, hours: float = 2.0) -> None:
        """The controller's next look."""
        self.now += hours * HOUR_S
        look(Desk(self.depot.repo, self.depot.keyring(), self.archive), self.now)

    def status(self, *words: str) -> Any:
        code, out, err = self("rollout", "status", *words, "--json")
        assert (code, err) == (0, "")
        return valid("rollout-status", out)


def valid(name: str, text: str) -> Any:
    document = json.loads(text)
    schema = json.loads((ROOT / f"edge_agent/schemas/{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


@pytest.fixture
def office(original: Depot, tmp_path: Path, monkeypatch, capfd):
    depot = original.copy(tmp_path / "depot")
    monkeypatch.setenv("EDGE_FLEET_REPO", str(depot.repo))
    monkeypatch.setenv("EDGE_FLEET_KEYS", str(depot.keys))
    monkeypatch.setenv("EDGE_FLEET_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("EDGE_FLEET_STORE", f"sqlite:///{tmp_path / 'desk.db'}")

    def obeyed(*words: str | Path) -> Said:
        code = obey([str(each) for each in words], root, "edge-fleet")
        return code, *capfd.readouterr()

    with open_archive(tmp_path / "desk.db") as archive:
        office = Office(depot, archive, obeyed, tmp_path, time.time())
        office.say(*(reports.status(name, tags) for name, tags in FLEET.items()))
        yield office


def test_a_good_model_reaches_everybody(office: Office, tmp_path: Path) -> None:
    assert office.create()[0] == 0
    device = Client(office.depot.repo, tmp_path / "device")
    went = []
    for _ in range(6):
        content = device.fetch("rollouts/r1.json")
        assert content is not None
        valid("rollout", content.decode())
        order = parse(json.loads(content))
        assert order == office.order()
        went.append((order.state, order.stage))
        office.later()  # silence moves nothing
        assert office.order() == order
        office.succeed()
        office.later()
    assert (
        went == [(State.RUNNING, 0), (State.RUNNING, 1), (State.RUNNING, 2)] + [(State.DONE, 2)] * 3
    )
    told = office.status("r1")["rollouts"][0]
    assert [each["move"] for each in told["steps"]] == ["create", "advance", "advance", "finish"]
    serials = [each["serial"] for each in told["steps"]]
    assert serials == sorted(set(serials))
    code, out, _ = office("rollout", "status", "r1")
    assert code == 0
    assert "done, serial" in out
    assert max(map(len, out.splitlines())) <= 80


def test_one_that_went_back_aborts_it_for_all(office: Office) -> None:
    office.create()
    office.succeed()
    office.later()
    office.say(reports.report("d01", office.order(), "rolled_back", "failed", failures=2))
    office.later(0)
    assert office.order().state is State.ABORTED
    told = office.status()["rollouts"][0]
    assert told["failures"] == [{"device": "d01", "why": "rolled_back failed", "harm": True}]
    assert told["steps"][-1]["by"] == "controller"
    assert "d01: rolled_back failed" in told["steps"][-1]["reasons"]
    for word in ("advance", "resume", "pause"):
        code, _, err = office("rollout", word, "r1")
        assert code == 1
        assert "is aborted and stays so" in err
    assert office("rollout", "abort", "r1")[0] == 0, "it is already"


def test_a_doubt_pauses_it_until_a_person_has_looked(office: Office) -> None:
    office.create()
    office.succeed()
    office.say(reports.report("d05", office.order(), "refused", "failed"))
    code, _, err = office("rollout", "advance", "r1")
    assert code == 4, "nobody goes past it, not by hand either"
    assert "d05: refused failed" in err
    office.later()
    assert (office.order().state, office.order().stage) == (State.PAUSED, 0)
    office.later()
    assert office.order().state is State.PAUSED
    assert office("rollout", "advance", "r1")[0] == 1
    code, out, _ = office("rollout", "status", "r1")
    assert "paused" in out
    assert office("rollout", "resume", "r1")[0] == 0
    office.later()
    assert (office.order().state, office.order().stage) == (State.RUNNING, 1)
    office.say(reports.report("d05", office.order(), "refused", "failed"))
    office.later()
    assert office.order().state is State.PAUSED, "a second one is another one"


def test_people_step_in(office: Office) -> None:
    assert office.create()[0] == 0
    assert office("rollout", "pause", "r1")[0] == 0
    code, out, _ = office("rollout", "pause", "r1")
    assert (code, out) == (0, "rollout r1 is paused already\n")
    serial = office.order().serial
    office.succeed()
    office.later()
    assert office.order().serial == serial, "the controller leaves it alone"
    assert office("rollout", "resume", "r1")[0] == 0
    assert office("rollout", "advance", "r1")[0] == 0
    assert office("rollout", "advance", "r1")[0] == 0
    assert office.order().stage == 2
    code, out, _ = office("rollout", "advance", "r1")
    assert code == 0
    assert "done" in out
    told = office.status("r1")["rollouts"][0]["steps"]
    assert {each["by"] for each in told} == {"person"}
    assert office("rollout", "pause", "r2")[0] == 2


def test_one_rollout_at_a_time_for_each_name(office: Office) -> None:
    assert office.create("r1", "1")[0] == 0
    code, _, err = office.create("r2", "2")
    assert code == 2
    assert "rollout r1 of person is running" in err
    code, _, err = office.create("r1", "2")
    assert code == 2
    assert "a rollout r1 already" in err
    office("rollout", "abort", "r1")
    assert office.create("r2", "2")[0] == 0
    assert [each.id for each in rollouts(office.depot.opened())] == ["r1", "r2"]
    for _ in range(3):
        office("rollout", "advance", "r2")
    assert [each.id for each in rollouts(office.depot.opened())] == ["r2"], "r1 says nothing more"
    code, _, err = office.create("r3", "3")
    assert code == 2
    assert "person 3 is not published" in err


def test_a_plan_that_the_fleet_cannot_fulfil_is_told_at_once(office: Office) -> None:
    path = office.plans / "plan.yaml"
    path.write_text(PLAN.format(id="r1", version="2").replace("devices: 3", "devices: 4"))
    code, out, _ = office("rollout", "create", path)
    assert code == 0
    assert "stage canary asks for 4 devices, " in out
    path.write_text(PLAN.format(id="r2", version="2").replace("hours: 1", "hour: 1", 1))
    code, _, err = office("rollout", "create", path)
    assert code == 2
    assert f"{path}:5:" in err


def test_what_comes_from_elsewhere_counts_for_nothing(office: Office) -> None:
    """Another rollout's report, or one of another file under the same name."""
    office.create()
    order = office.order()
    from dataclasses import replace

    office.say(
        reports.report("d01", replace(order, id="r0"), "rolled_back", "failed"),
        reports.report("d01", replace(order, sha256="9" * 64), "rolled_back", "failed"),
        reports.envelope("d01", "ota", {"rollout": "r1", "sha256": order.sha256}, 900),
        reports.envelope("d01", "ota", {"rollout": None, "numbers": [1]}, 901),
    )
    office.later()
    assert office.order() == order


def test_killed_and_started_again_it_takes_each_step_once(office: Office, monkeypatch) -> None:
    """Cut before every write of a step: the next look takes it, and takes it once."""
    from edge_fleet import change as change_module

    office.create()
    office.succeed()
    write, left = change_module.write_durably, [0]

    class Killed(BaseException):
        pass

    def dying(path: Path, content: bytes) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        write(path, content)

    monkeypatch.setattr(change_module, "write_durably", dying)
    for cut in range(4):
        left[0] = cut
        with pytest.raises(Killed):
            office.later()
        assert (office.order().stage, office.order().serial) == (0, 2)
    monkeypatch.setattr(change_module, "write_durably", write)
    office.later(0)
    office.later(0)
    assert (office.order().stage, office.order().serial) == (1, 3)


def test_two_controllers_do_no_harm(office: Office) -> None:
    office.create()
    with (
        only_one(office.depot.repo),
        pytest.raises(EdgeError, match="another controller is at work"),
        only_one(office.depot.repo),
    ):
        pass
    office.succeed()
    office.now += 2 * HOUR_S
    desks = [Desk(office.depot.repo, office.depot.keyring(), office.archive) for _ in range(2)]
    for desk in desks:
        look(desk, office.now)
    assert office.order().stage == 1


def test_it_signs_again_before_anything_expires(office: Office) -> None:
    office.create()
    office.later(24 * 4)
    repository = office.depot.opened()
    assert wants_refresh(repository, office.now) == []
    (office.depot.keys / read_ring(office.depot.keys).of("snapshot")[0].file).unlink()
    with pytest.raises(UsageError, match="the snapshot key is not here"):
        check_keys(Desk(office.depot.repo, office.depot.keyring(), office.archive))


def test_status_reminds_of_what_expires(office: Office, monkeypatch) -> None:
    assert "there is no rollout yet" in office("rollout", "status")[1]
    assert all(not each["soon"] for each in office.status()["roles"])
    late = time.time() + 340 * 86_400
    monkeypatch.setattr(time, "time", lambda: late)
    out = office("rollout", "status")[1]
    assert "timestamp expired" in out
    assert f"root expires in 24 d: edge-fleet repo refresh {office.depot.repo} --role root" in out


def test_who_is_enrolled_is_a_member_before_it_speaks(office: Office) -> None:
    assert office("enroll", "d90", "d91", "--tag", "ring=canary")[0] == 0
    office.create()
    office("rollout", "advance", "r1")
    silent = office.status("r1")["rollouts"][0]["devices"]["silent"]
    assert {"d00", "d90", "d91"} <= set(silent)
    office.say(reports.status("d90", {}))
    assert "d90" not in office.status("r1")["rollouts"][0]["devices"]["silent"], "by its own word"
    assert office("enroll", "d91", "--remove")[1] == "d91: removed\n"
    assert office("enroll", "d/1")[0] == 2
    assert office("enroll", "d1", "--tag", "ring")[0] == 2


def test_devices_are_told_with_what_is_missing(office: Office) -> None:
    office("enroll", "d90", "--tag", "ring=canary")
    office.say(reports.report("d01", _any_order(), "offered"))
    told = valid("devices", office("devices", "--json")[1])["devices"]
    assert [each["device"] for each in told] == [*FLEET, "d90"]
    assert (told[0]["state"], told[0]["version"]) == ("online", "0.1.0")
    assert (told[-1]["state"], told[-1]["heard"], told[-1]["enrolled"]) == ("never", None, True)
    assert all(each["missing"] is None for each in told)
    code, out, _ = office("devices", "--gaps")
    assert code == 1, "its numbers before the first that came are missing"
    assert max(map(len, out.splitlines())) <= 80


def _any_order() -> Rollout:
    from edge_fleet.plan import order, remembered
    from edge_fleet.repository import Target

    stages = [
        {"name": "s", "mode": "shadow", "percent": 1, "at_least": {"hours": 1}},
        {"name": "all", "percent": 100, "at_least": {"hours": 1}},
    ]
    plan = remembered({"id": "r1", "model": "person", "version": "1", "stages": stages})
    return order(plan, Target(plan.target, Path(), 1, "", {"sha256": "1" * 64}), 1)
