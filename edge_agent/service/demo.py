"""The demo: scene and machine through the shipped models into a real store, as a person sees it.

It is `replay` with a store that stays: first a night of the built-in machine, which wears out, then
a while of the built-in scene, with a picture of the moment with the most in it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.config.load import load
from edge_agent.config.schema import Config, SignalSource
from edge_agent.durable import whole
from edge_agent.errors import EdgeError, kind_of
from edge_agent.frozen import frozen
from edge_agent.pipeline.rules import Ident
from edge_agent.policy.documents import rfc3339
from edge_agent.service.assemble import Site
from edge_agent.service.draw import annotated, write_picture
from edge_agent.service.input import open_input
from edge_agent.service.replay import Play, Wishes, calendar_of, keep_account, runner_of
from edge_agent.service.report import begin, run_report
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.sources.machine import Fault, MachineSpec
from edge_agent.sources.scene import Scene, SceneSpec
from edge_agent.store.query import open_reader
from edge_agent.store.record import open_store
from edge_agent.store.rows import EventFilter
from edge_agent.types import Detection, Frame, Outcome

HOUR_S = 3600.0
YARD, MOTOR = "yard", "motor"
#: When the demo's day begins: a round hour reads better than 1970.
MORNING = 1_767_254_400.0  # 2026-01-01T08:00:00Z
#: The machine is new the evening before, and fails in the morning.
NIGHT_H = 10
NAMED = 5

CONFIG = """\
# What `edge-agent demo` ran. Use it as your own first configuration:
#   edge-agent run -c config.yaml
sources:
  yard: {kind: scene, uri: "built-in:?seed=SEED"}
  motor: {kind: signal, uri: "built-in:?seed=SEED&every_s=60&life_h=NIGHT"}  # a window a minute
pipelines:
  yard:
    source: yard
    model: scene-detector
    gate: {max_fps: 5}
    zones:
      gate: GATE
    rules:
      - {name: person-at-gate, label: person, zone: gate, confirm: [3, 5], priority: alert,
         cooldown_s: 5, cooldown_scope: track, evidence: [snapshot], advice: close the gate}
      - {name: forklift-moving, label: forklift, confirm: [3, 5], cooldown_scope: track}
      - {name: crowd, count: 3, dwell_s: 1}
  motor:
    source: motor
    model: machine-anomaly
    rules:
      - {name: motor-worn, score_above: model, for_s: 600, priority: alert,
         advice: look at the motor}
"""


@frozen
class Worn:
    """The truth about the machine, in seconds since the epoch."""

    fault: Fault
    began: float
    fails: float


@dataclass(slots=True)
class Shown:
    """What the summary tells."""

    worn: Worn
    report: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)  # label -> how many different ones
    events: dict[str, int] = field(default_factory=dict)  # priority -> how many
    lines: list[str] = field(default_factory=list)
    reported: float | None = None  # when the machine's wear was
    waiting: int = 0
    picture: Path | None = None
    best: str = ""


class Album:
    """Keeps the frame with the most to see, and which objects there were."""

    def __init__(self) -> None:
        self.tracks: dict[int, str] = {}
        self._best: tuple[float, Frame, tuple[Detection, ...]] | None = None

    def look(self, runner: Runner, outcome: Outcome) -> None:
        for track in outcome.tracks:
            if track.hits >= 3:  # a finding of one frame is no object yet
                self.tracks.setdefault(track.id, track.label)
        kinds = len({found.label for found in outcome.detections})
        worth = kinds * 10 + sum(found.score for found in outcome.detections)
        if outcome.detections and (self._best is None or worth > self._best[0]):
            self._best = (worth, outcome.frame, outcome.detections)

    def write(self, path: Path, labels: tuple[str, ...]) -> Path | None:
        if self._best is None:
            return None
        _, frame, detections = self._best
        write_picture(path, annotated(frame.data, detections, labels))
        return path

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for label in self.tracks.values():
            found[label] = found.get(label, 0) + 1
        return dict(sorted(found.items()))


def show(out: Path, seconds: int, seed: int) -> Shown:
    """Run it into `out`, which is made anew; the last demo's state there is removed."""
    state = out / "state"
    _prepare(out, state, seed)
    config = load(out / "config.yaml")
    cost = begin(stopwatch())
    album = Album()
    with open_store(state) as store:
        identity = store.start()
        site = Site(state, out, Ident(identity.store, identity.boot))
        wishes = Wishes((MOTOR, YARD), site, start=MORNING, store=state, publish=True)
        motor, yard = (runner_of(config, name, wishes, store) for name in wishes.pipelines)
        _listen(Play((motor,), wishes, calendar_of(config)), motor, config)
        keep_account(store, (motor,), (MORNING - NIGHT_H * HOUR_S, MORNING))
        spec = SceneSpec(seed=seed, frames=int(seconds * 10), origin=MORNING)
        play = Play((yard,), wishes, calendar_of(config))
        play.run(Scene(YARD, spec), "demo", album.look)
        keep_account(store, (yard,), (MORNING, play.last))
        report = run_report((yard, motor), cost, stopwatch())
        waiting = store.outbox.depth().depth
    shown = Shown(_fate(MachineSpec(seed=seed, life_h=NIGHT_H)), report, album.counts())
    shown.waiting = waiting
    shown.picture = album.write(out / "seen.png", yard.assembled.model.labels)
    _tell_events(state, shown)
    return shown


def _listen(play: Play, motor: Runner, config: Config) -> None:
    """The machine's whole life, window by window."""
    source = config.sources[MOTOR]
    assert isinstance(source, SignalSource)
    begins = MORNING - NIGHT_H * HOUR_S
    uri = f"{source.uri}&hours={NIGHT_H}"
    play.run(open_input(uri, begins, source, motor.assembled.model.input), "demo")


def _fate(machine: MachineSpec) -> Worn:
    wear, new = machine.decline, MORNING - NIGHT_H * HOUR_S
    return Worn(wear.fault, new + wear.onset_s, new + wear.failure_s)


def _prepare(out: Path, state: Path, seed: int) -> None:
    from edge_agent.sources.scene import GATE

    gate = [[round(x, 3), round(y, 3)] for x, y in GATE]
    text = CONFIG.replace("SEED", str(seed)).replace("GATE", str(gate))
    text = text.replace("NIGHT", str(NIGHT_H))
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not _is_ours(out):
            raise EdgeError(f"{out} holds files that no demo made", "say --out ANOTHER_DIR")
        shutil.rmtree(state, ignore_errors=not state.exists())
        with whole(out / "config.yaml") as draft:
            draft.write_text(text, "utf-8")
    except OSError as fault:
        reason = f"{out} cannot be written: {fault.strerror}"
        raise kind_of(fault)(reason, "say another place: --out DIR") from None


def _is_ours(out: Path) -> bool:
    """Whether an earlier demo wrote into this folder, or nothing that it would write is there."""
    config = out / "config.yaml"
    if config.exists():
        return config.read_bytes().startswith(CONFIG.splitlines()[0].encode())
    return not (out / "state").exists()


def _tell_events(state: Path, shown: Shown) -> None:
    """The alerts' first lines, the one to ask `why` about, and when the wear was reported."""
    with open_reader(state) as reader:
        found = reader.events(EventFilter(limit=None))
    for stored in found:
        priority = stored.event.priority.value
        shown.events[priority] = shown.events.get(priority, 0) + 1
    alerts = [stored.event for stored in found if stored.event.priority.value == "alert"]
    for event in reversed(alerts[-NAMED:]):
        shown.lines.append(f"{rfc3339(event.opened)[11:19]} {event.id[:8]} {event.text}")
    if len(alerts) > NAMED:
        shown.lines.append(f"and {len(alerts) - NAMED} more")
    shown.best = alerts[-1].id[:8] if alerts else ""
    shown.reported = next((e.opened for e in reversed(alerts) if e.pipeline == MOTOR), None)
