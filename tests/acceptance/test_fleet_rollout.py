"""Rollouts end to end with real processes: a web server, mosquitto, a controller, and a fleet.

EDGE_FLEET_E2E_AGENTS says how many agents (20). Each prints its verdicts with times. That a single
agent goes through every step is shown faster by tests/cli/test_run_ota.py.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yard
from running_fleet import Desk, Fleet, WebServer, carry
from shifted_clock import Shift

from edge_agent.engines import available
from edge_agent.policy.rollout import State

pytestmark = [pytest.mark.acceptance(minutes=12), pytest.mark.slow]
AGENTS = int(os.environ.get("EDGE_FLEET_E2E_AGENTS", "20"))
PATIENCE_S = 900.0
CUT_S = 10.0
#: Devices are asked to look when the order changes, and again after this: a command may be lost.
AGAIN_S = 20.0 if AGENTS < 8 else 45.0
#: A broker that is killed knows the desk's session afterwards, and keeps what comes for it.
AT_ONCE = "autosave_interval 1\nautosave_on_changes true\n"
#: Under the load of a whole fleet on one machine a median says less.
LOADED = "{latency_ratio: 3, memory_ratio: 3, event_ratio: 3}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def all_are_people(desk: Desk, version: str) -> Path:
    """A version that calls everything a person: about three times the events of this scene. Its
    golden set is its own, so that only what it does speaks against it."""
    folder = desk.folder / f"bundle-{version}"
    yard.offered(folder, version)
    labels = folder / "labels.txt"
    labels.write_text("\n".join("person" for _ in labels.read_text().split()) + "\n")
    (folder / "golden.npz").unlink()
    maker = desk.folder / f"maker-{version}"
    subprocess.run(
        [sys.executable, "-m", "edge_agent", "models", "import", folder, "--state", maker],
        check=True,
        capture_output=True,
    )
    (installed,) = (maker / "models" / "yard").glob(f"{version}-*")
    return installed


def for_litert_only(desk: Desk, version: str) -> Path:
    """It asks for a version of CONV_2D that only the newer engine has."""
    folder = yard.offered(desk.folder / f"bundle-{version}", version)
    model = bytearray((folder / "model.tflite").read_bytes())
    model[CONV_VERSION] = 8
    (folder / "model.tflite").write_bytes(model)
    manifest = folder / "manifest.yaml"
    old, new = stated(manifest), hashlib.sha256(model).hexdigest()
    manifest.write_text(manifest.read_text().replace(old, new))
    return folder


#: Where the shipped detector's operator code says its version, one byte.
CONV_VERSION = 235848


def stated(manifest: Path) -> str:
    lines = manifest.read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("sha256:"))


class Trial:
    """Rollouts one after the other, with what became of each."""

    def __init__(self, desk: Desk, fleet: Fleet, nudge: Callable[[], None]) -> None:
        self.desk, self.fleet, self._nudge = desk, fleet, nudge
        self.seen: list[str] = []  # of the present rollout: stages with their times

    def begin(self, version: str, bundle: Path, guardrails: str = LOADED) -> str:
        id_ = f"r{version}"
        self.desk("publish", bundle)
        self.desk("rollout", "create", self.fleet.plan(id_, version, guardrails))
        self.seen, self._began = [], time.monotonic()
        return id_

    def until(self, id_: str, over: Callable[[], bool], each: Callable[[str], None]) -> None:
        """Have devices look whenever the order changes; `each` is told of every stage."""
        serial, looked, until = -1, 0.0, time.monotonic() + PATIENCE_S
        while not over():
            order = self.desk.standing(id_)
            stage = order.stages[order.stage].name
            if order.serial != serial or time.monotonic() - looked > AGAIN_S:
                if order.serial != serial:
                    self.seen.append(
                        f"{order.state.value} {stage} at {time.monotonic() - self._began:.0f} s"
                    )
                    each(stage)
                serial, looked = order.serial, time.monotonic()
                self._nudge()
            assert time.monotonic() < until, self.told(id_)
            time.sleep(0.3)

    def told(self, id_: str) -> str:
        version = id_.removeprefix("r")
        steps = [f"{agent.name}: {agent.steps(version)[-2:]}" for agent in self.fleet.agents]
        return "\n".join([*self.seen, self.desk("rollout", "status", id_), *steps])

    def stopped(self, id_: str, old: str) -> str:
        """Until the rollout stands; then a person aborts it, and every device is on the old one.
        The stage that it was stopped in."""
        self.until(id_, lambda: self.desk.standing(id_).state is not State.RUNNING, _nothing)
        order = self.desk.standing(id_)
        why = self.desk.why(id_)
        took = time.monotonic() - self._began
        if order.state is State.PAUSED:
            self.desk("rollout", "abort", id_)
        everybody = {old: len(self.fleet.agents)}
        self.until(id_, lambda: self.fleet.in_charge() == everybody, _nothing)
        stage = order.stages[order.stage].name
        print(
            f"{id_}: {why[0]} in stage {stage} after {took:.0f} s, all on {old} after"
            f" {time.monotonic() - self._began:.0f} s: {'; '.join(why[1:])}"
        )
        return stage


def _nothing(_stage: str) -> None:
    pass


def sha256_of(bundle: Path) -> str:
    return hashlib.sha256((bundle / "model.tflite").read_bytes()).hexdigest()


def test_a_fleet_takes_a_good_model_and_stops_four_bad_ones(
    desk: Desk, new_mosquitto: Callable[..., Any], tmp_path: Path
) -> None:
    broker = new_mosquitto(f"persistence true\npersistence_location {tmp_path}/\n{AT_ONCE}").start()
    web = WebServer(desk.depot.repo).start()
    where = {
        "port": broker.port,
        "repository": f"http://127.0.0.1:{web.port}",
        "root": desk.depot.repo / "metadata" / "1.root.json",
    }
    fleet = Fleet(tmp_path / "fleet", AGENTS, 8 if AGENTS < 8 else 4, where)
    fleet.order()
    for ring in ("canary", "early", "rest"):
        desk("enroll", *(agent.name for agent in fleet.of(ring)), "--tag", f"ring={ring}")
    desk.lead("--broker", f"mqtt://127.0.0.1:{broker.port}", "--client-id", "the-desk")
    trial = Trial(desk, fleet, lambda: _quietly(fleet.look))
    try:
        for agent in fleet.agents:
            agent.start()

        def cut(stage: str) -> None:
            if stage == "early":
                broker.kill()
                web.kill()
                time.sleep(CUT_S)
                web.start()
                broker.start()

        good = trial.begin("2", yard.offered(tmp_path / "bundle-2", "2"))
        trial.until(good, lambda: desk.standing(good).state is State.DONE, cut)
        print(
            f"good: {', '.join(trial.seen)}, the network was cut for {CUT_S:.0f} s in stage early"
        )
        assert fleet.in_charge() == {"2": AGENTS}
        assert any("early" in each for each in trial.seen)

        slow = yard.offered(tmp_path / "bundle-3", "3")
        fleet.order(slow=sha256_of(slow))
        assert trial.stopped(trial.begin("3", slow), "2") == "shadow"
        assert "latency_ratio" in str([agent.steps("3") for agent in fleet.of("canary")])

        fleet.order()
        # Nothing but its events speaks against it.
        loose = "{least_agreement: 0, score_shift: 1, event_ratio: 1.5, latency_ratio: 3}"
        id_ = trial.begin("4", all_are_people(desk, "4"), loose)
        assert trial.stopped(id_, "2") == "shadow"
        assert "event_ratio" in str([agent.steps("4") for agent in fleet.of("canary")])

        crashing = yard.offered(tmp_path / "bundle-5", "5")
        fleet.order(model=sha256_of(crashing), after=50)
        before = sum(len(agent.ends) for agent in fleet.agents)
        assert trial.stopped(trial.begin("5", crashing), "2") == "shadow"
        died = sum(len(agent.ends) for agent in fleet.agents) - before
        print(f"r5: {died} ends by it in {len(fleet.of('canary'))} devices")
        assert 0 < died <= 2 * len(fleet.of("canary"))

        fleet.order()
        if "tflite-runtime" in available():
            id_ = trial.begin("6", for_litert_only(desk, "6"))
            assert trial.stopped(id_, "2") == "early"
            assert any("CONV_2D" in each for each in [*desk.why(id_), trial.told(id_)])
    finally:
        fleet.close()
        web.kill()


def _quietly(look: Callable[[], None]) -> None:
    """While the broker is away nobody hears it; devices look by themselves, later."""
    with suppress(OSError):
        look()


def test_the_same_from_a_stick_with_no_network_and_a_clock_in_1970(
    desk: Desk, shifted: Shift, tmp_path: Path
) -> None:
    shifted.to(3600 - time.time(), synced=False)  # an hour after 1970 began
    root = tmp_path / "root.json"
    root.write_bytes((desk.depot.repo / "metadata" / "1.root.json").read_bytes())
    where = {
        "port": None,
        "repository": "http://127.0.0.1:9/nobody",
        "root": root,
        "process": {"env": shifted.environment},
    }
    fleet = Fleet(tmp_path / "fleet", 3, 8, where)
    fleet.order()
    for agent in fleet.agents:
        desk("enroll", agent.name, "--tag", f"ring={agent.ring}")
    desk.lead()
    stick, letters = tmp_path / "stick", tmp_path / "letters"

    def edge(agent: Any, *words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent", *map(str, words), "--state", agent.state,
             "-c", agent.config],
            env=shifted.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )  # fmt: skip
        assert done.returncode in (0, 4), done.stderr
        return done.stdout + done.stderr

    def walk() -> None:
        """From the desk to every device and back."""
        carry(desk.depot.repo, stick)
        letters.mkdir(exist_ok=True)
        for agent in fleet.agents:
            edge(agent, "ota", "install", stick)
            edge(agent, "outbox", "export", letters)
        desk("collect", "--from", letters)

    trial = Trial(desk, fleet, walk)
    try:
        for agent in fleet.agents:
            agent.start()
        time.sleep(5)
        good = trial.begin("2", yard.offered(tmp_path / "bundle-2", "2"))
        trial.until(good, lambda: desk.standing(good).state is State.DONE, _nothing)
        print(f"good by stick: {', '.join(trial.seen)}")
        assert fleet.in_charge() == {"2": 3}
        crashing = yard.offered(tmp_path / "bundle-5", "5")
        fleet.order(model=sha256_of(crashing), after=50)
        assert trial.stopped(trial.begin("5", crashing), "2") == "shadow"
        if "tflite-runtime" in available():
            fleet.order()
            assert trial.stopped(trial.begin("6", for_litert_only(desk, "6")), "2") == "early"
    finally:
        fleet.close()
