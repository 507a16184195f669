"""A desk and a fleet of real agents on one machine; see tests/acceptance/test_fleet_rollout.py.

Agents are `crashing.py`, restarted as systemd does; all obey one file of orders, which says how a
model misbehaves. Three cohorts by the tag `ring`.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import rollout_desk
import yard
from board import SysBoard
from broker import free_port
from paho.mqtt import publish

from edge_agent.engines import available
from edge_agent.policy.rollout import Rollout
from edge_fleet.repository import open_repository
from edge_fleet.standing import rollout

ROOT = Path(__file__).parents[1]
RESTART_S = 0.5
RINGS = ("canary", "early", "rest")
CONFIG = """\
device: {{id: {name}, tags: {{ring: {ring}}}}}
sources: {{yard: {{kind: scene, uri: "built-in:?seed=11&fps={fps}"}}}}
store: {{flush_s: 5}}
summary: {{every_s: 60}}
pipelines:
  yard:
    source: yard
    model: yard
    engine: {engine}
    threads: 1
    gate: {{max_fps: 0, motion: false, stationary: false}}
    zones:
{zones}
    rules:
{rules}
{mqtt}
thermal: {{sysfs: "{sysfs}"}}
ota: {{repository: "{repository}", root: "{root}", check_every_s: 60}}
"""
PLAN = """\
id: {id}
model: yard
version: "{version}"
shadow: {{every: 1, frames: 110}}
probation: {{minutes: 0.05}}
guardrails: {guardrails}
stages:
  - {{name: shadow, mode: shadow, tags: {{ring: canary}},
     at_least: {{devices: {canary}, hours: 0.0001}}}}
  - {{name: canary, tags: {{ring: canary}}, at_least: {{devices: {canary}, hours: 0.0001}}}}
  - {{name: early, tags: {{ring: early}}, at_least: {{devices: {early}, hours: 0.0001}}}}
  - {{name: all, percent: 100, at_least: {{devices: {rest}, hours: 0.0001}}}}
"""


class Desk(rollout_desk.Desk):
    """One with a controller."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.controller: subprocess.Popen[bytes] | None = None

    def lead(self, *broker: str) -> None:
        """Start the controller."""
        with (self.folder / "controller.log").open("ab") as log:
            self.controller = subprocess.Popen(
                [sys.executable, "-m", "edge_fleet", "rollout", "run", *broker, "--every", "0.5"],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def standing(self, id_: str) -> Rollout:
        order: Rollout = rollout(open_repository(self.depot.repo), id_).standing.order
        return order

    def why(self, id_: str) -> list[str]:
        """What the last step of a rollout was, and its reasons."""
        last = rollout(open_repository(self.depot.repo), id_).steps[-1]
        return [last.move, *last.reasons]

    def close(self) -> None:
        if self.controller is not None:
            self.controller.kill()
            self.controller.wait()


class WebServer:
    """A process that hands out a folder, and can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> WebServer:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1",
             "--directory", str(self._folder), "--protocol", "HTTP/1.1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Agent:
    """One device. It is started again whenever it ends unasked; `ends` counts those."""

    def __init__(self, folder: Path, name: str, ring: str, **process: Any) -> None:
        self.name, self.ring = name, ring
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.config, self.state = self.folder / "config.yaml", self.folder / "state"
        # Each has a cool board of its own: all on one machine slow one another down.
        self.board = SysBoard(self.folder / "sysfs")
        self._orders, self._process = folder / "orders", process
        self.ends: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._manage, daemon=True)
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._spawn()
        self._thread.start()

    def close(self) -> int | None:
        """Stop it as asked; its exit code."""
        self._over.set()
        if self._running is None:
            return None
        self._thread.join()
        self._running.terminate()
        try:
            return self._running.wait(30)
        except subprocess.TimeoutExpired:
            self._running.kill()
            return self._running.wait()

    def steps(self, version: str) -> list[tuple[str, str, str]]:
        try:
            found = sqlite3.connect(f"file:{self.state / 'edge.db'}?mode=ro", uri=True)
            with closing(found):
                return found.execute(
                    "SELECT step, verdict, reason FROM audit WHERE version = ? ORDER BY n",
                    (version,),
                ).fetchall()
        except sqlite3.Error:
            return []

    def _spawn(self) -> None:
        script = ROOT / "tests" / "crashing.py"
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, str(script), str(self.config), str(self.state), str(self._orders)],
                stdout=log,
                stderr=log,
                **self._process,
            )

    def _manage(self) -> None:
        while not self._over.wait(RESTART_S):
            assert self._running is not None
            code = self._running.poll()
            if code is not None:
                self.ends.append(code)
                self._spawn()


class Fleet:
    """So many devices in three cohorts, about one to two to three; all run version 1."""

    def __init__(self, folder: Path, count: int, fps: float, where: dict[str, Any]) -> None:
        """`where`: `repository`, `root`, and `port` of the broker, or None."""
        self.folder, self.port = folder, where["port"]
        folder.mkdir(parents=True)
        canary, early = max(1, count // 5), max(1, count // 3)
        rings = ["canary"] * canary + ["early"] * early
        rings += ["rest"] * (count - len(rings))
        old = "tflite-runtime" if "tflite-runtime" in available() else "litert"
        self.agents = [
            Agent(folder, f"d{place:02d}", ring, **where.get("process", {}))
            for place, ring in enumerate(rings)
        ]
        for agent in self.agents:
            agent.board.zone(0, "cpu-thermal", 45.0)
            agent.config.write_text(
                CONFIG.format(
                    sysfs=agent.board.root,
                    name=agent.name,
                    ring=agent.ring,
                    fps=fps,
                    engine=old if agent.ring == "early" else "litert",
                    mqtt=""
                    if self.port is None
                    else f"mqtt: {{host: 127.0.0.1, port: {self.port}, commands: [ota-check]}}",
                    repository=where["repository"],
                    root=where["root"],
                    **columns(),
                )
            )
            yard.installed(agent.state, "1")

    def of(self, ring: str) -> list[Agent]:
        return [agent for agent in self.agents if agent.ring == ring]

    def order(self, **orders: Any) -> None:
        """How a model misbehaves, from the next load on."""
        (self.folder / "orders").write_text(json.dumps({"frames": 15, **orders}))

    def look(self) -> None:
        """Have every device look at the repository now."""
        self.breathe()
        publish.multiple(
            [
                {"topic": f"edge/v1/{agent.name}/cmd/ota-check", "qos": 1,
                 "payload": json.dumps({"id": f"look-{time.time():.3f}", "args": {}})}
                for agent in self.agents
            ],
            hostname="127.0.0.1",
            port=self.port,
        )  # fmt: skip

    def breathe(self) -> None:
        """A sensor that says the same for ten minutes is taken for stuck."""
        for agent in self.agents:
            agent.board.heat(random.uniform(44.0, 46.0))

    def in_charge(self) -> dict[str, int]:
        """How many devices run which version."""
        found = [yard.in_charge(agent.state) or "none" for agent in self.agents]
        return {version: found.count(version) for version in sorted(set(found))}

    def plan(self, id_: str, version: str, guardrails: str = "{}") -> Path:
        path = self.folder / f"{id_}.yaml"
        sizes = {ring: len(self.of(ring)) for ring in RINGS}
        path.write_text(PLAN.format(id=id_, version=version, guardrails=guardrails, **sizes))
        return path

    def close(self) -> None:
        for agent in self.agents:
            agent.close()


def columns(count: int = 24) -> dict[str, str]:
    """Zones side by side, each with an alert for people: somebody walks from one to the next."""
    zones = [
        f"      z{n}: [[{n / count}, 0], [{(n + 1) / count}, 0], [{(n + 1) / count}, 1],"
        f" [{n / count}, 1]]"
        for n in range(count)
    ]
    rules = [
        f"      - {{name: r{n}, label: person, zone: z{n}, cooldown_s: 0}}" for n in range(count)
    ]
    return {"zones": "\n".join(zones), "rules": "\n".join(rules)}


def carry(repository: Path, stick: Path) -> None:
    """The repository onto a stick, anew."""
    shutil.rmtree(stick, ignore_errors=True)
    shutil.copytree(repository, stick)
