"""What is done every so often: the ledger to the database, summaries to the outbox, health out.

One thread, a look a second. A power cut loses at most `flush_s` of the ledger and of near misses.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.pipeline.health import BLINDING
from edge_agent.pipeline.zones import Zone, anchor_point
from edge_agent.policy.documents import dump
from edge_agent.policy.drift import Baseline, restored
from edge_agent.policy.summary import Heat, WindowAccount, document
from edge_agent.policy.vigil import Beat
from edge_agent.service import outlook
from edge_agent.service.board import board_reasons
from edge_agent.service.ledger import difference, frames_row
from edge_agent.service.proof import Proof
from edge_agent.service.timekeeper import Timekeeper
from edge_agent.service.watch import House, Watch
from edge_agent.service.wear import WearAccount
from edge_agent.store.rows import Batch, Draft, Summary
from edge_agent.types import Ledger, Track
from edge_agent.uplink.publisher import Publisher

log = logging.getLogger("edge_agent.housekeeping")

LOOK_S = 1.0
PATIENCE_S = 10.0
#: A round waits for the disk and for frames at work, each bounded; all told it takes no longer.
ROUND_S = 30.0
#: After so long without an event, and since the start, what is written is not committed at once.
CALM_S = 600.0
#: Inferred frames after which a track is there for a dashboard.
STEADY = 3
#: Summary windows that wait for the disk at most: a day of the default five minutes.
MOST_WAITING = 288


@frozen
class Rhythm:
    """How often, in seconds."""

    flush_s: float
    summary_s: float


class Housekeeping:
    """`watch` gives the sources and pipelines that are at work now; a reload changes them.

    `unaccounted`: what the store declared at the start, to be told in the next summaries.
    """

    def __init__(
        self,
        house: House,
        watch: Callable[[], Watch],
        publisher: Publisher | None,
        proof: Proof,
        unaccounted: Mapping[str, float],
    ) -> None:
        self._store = house.store
        self._surroundings = surroundings = house.surroundings
        self._spending = house.spending
        self._views = house.views
        self._timekeeper = Timekeeper(house.store, surroundings.clock, house.committed)
        self._proof = proof
        self._watch = watch
        self._publisher = publisher
        self._flushed = self._summed = surroundings.now()
        self._before: dict[str, Ledger] = {}  # at the last summary, per pipeline
        self._given_up: dict[str, Counter[str]] = {}  # then, events by priority
        self._unaccounted = dict(unaccounted)  # not yet told in a summary, seconds per pipeline
        self._summaries: deque[Batch] = deque(maxlen=MOST_WAITING)  # not yet written
        self._wear = WearAccount(self._store, self._flushed)
        self._baselines: dict[str, Baseline] = {}
        self._kept_baselines = ""
        self._lock = threading.Lock()  # a reload settles from the control thread
        self._refusal = ""
        self.beat = Beat("housekeeping", renewable=True)
        self._refused_since: float | None = None
        self._began = self._calm_since = self._flushed
        self._happened = 0  # events opened and closed, at the last look
        self._patience = 0.0  # after a refusal the disk is left alone until then

    def run(self, stop: threading.Event) -> None:
        self.beat.begin("a round", ROUND_S)
        while not stop.wait(LOOK_S):
            self.beat.begin("a round", ROUND_S)
            self._timekeeper.look()
            self._surroundings.refresh()
            self.tick(self._rhythm())

    def tick(self, rhythm: Rhythm) -> None:
        """Do what is due."""
        now = self._surroundings.now()
        with self._lock:
            self._proof.look(self._watch())
            if now - self._summed >= rhythm.summary_s:
                self._summarize()
            if now >= self._patience and (self._summaries or now - self._flushed >= rhythm.flush_s):
                self._write_all()
        self.tell()

    def settle(self) -> bool:
        """Before the pipelines are replaced or end: nothing of their accounts may be left.

        False when the disk does not take them.
        """
        with self._lock:
            self._proof.settle(self._watch(), whole=True)
            self._summarize()
            self._write_all(at_once=True)
            if not self._refusal:
                self._proof.ended()
            return not self._refusal

    @property
    def written_mb_per_day(self) -> float | None:
        return self._wear.mb_per_day

    def _write_all(self, *, at_once: bool = False) -> None:
        """Summaries in order, then the ledger. What the disk refuses is offered again later."""
        now = self._surroundings.now()
        self._wear.count(now)
        defer = self._is_calm(now) and not at_once
        try:
            with self._store.database.deferred() if defer else nullcontext():
                while self._summaries:
                    self._store.record(self._summaries[0])
                    self._summaries.popleft()
                    self._keep_baselines()
                self._flush()
                self._wear.keep(now, at_once=at_once)
                if self._spending is not None:
                    self._spending.keep()
            self._refusal = ""
        except EdgeError as refusal:
            self._patience = self._surroundings.now() + PATIENCE_S
            if self._refusal != refusal.message:  # once per change
                self._refusal = refusal.message
                log.error("ledger and summaries wait for the disk reason=%r", refusal.message)
        if self._publisher is not None:
            self._publisher.notify()

    def _is_calm(self, now: float) -> bool:
        """Nobody waits to see in the database what is written now: nothing has happened for long.
        A store in memory wears nothing."""
        watch = self._watch()
        recorders = [runner.recorder for runner in watch.runners.values()]
        happened = sum(each.opened + each.closed for each in recorders)
        if happened != self._happened or watch.open_events():
            self._happened, self._calm_since = happened, now
        return now - self._calm_since >= CALM_S and not self._store.passing

    def _flush(self) -> None:
        """The ledger's windows, open events as they are, near misses: one transaction."""
        watch, now = self._watch(), self._surroundings.now()
        windows = {name: runner.account.window() for name, runner in watch.runners.items()}
        frames = tuple(
            frames_row(name, (self._flushed, now), window)
            for name, (window, _) in windows.items()
            if window.captured or window.pending
        )
        self._proof.settle(watch, whole=False)
        judged = {name: runner.take_journal() for name, runner in watch.runners.items()}
        every = tuple(entry for entries in judged.values() for entry in entries)
        try:
            self._store.record(
                Batch(
                    seen=watch.open_events(),
                    frames=frames,
                    judged=every,
                    coverage=self._proof.rows(),
                )
            )
        except EdgeError:
            for name, entries in judged.items():
                watch.runners[name].give_back(entries)
            raise
        for name, (_, account) in windows.items():
            watch.runners[name].account.mark(account)
        self._proof.written()
        self._flushed = now

    def _summarize(self) -> None:
        """One window per pipeline: a row in `summaries` and a message in the outbox."""
        watch, now = self._watch(), self._surroundings.now()
        temperature = self._surroundings.take_temperature()
        summaries, drafts = [], []
        for place, (name, runner) in enumerate(watch.runners.items()):
            window = watch.windows[name].take(now)
            ledger = runner.account.ledger()
            decided = difference(ledger, self._before.get(name, Ledger()))
            unaccounted_s = self._unaccounted.pop(name, 0.0)
            heat = Heat(temperature, self._surroundings.board.points.point(name))
            baseline = self._baseline(name, runner.assembled.model.sha256)
            drift = baseline.look(window.sight)
            account = WindowAccount(
                decided,
                unaccounted_s,
                self._proof.share(name),
                heat,
                drift,
                self._newly_given_up(name, runner.recorder.given_up),
            )
            body = document(window, now, account)
            self._before[name] = ledger
            summaries.append(Summary(name, window.opened, now, dump(body)))
            drafts.append(self._draft(place, now, dump(body)))
        self._summaries.append(Batch(messages=tuple(drafts), summaries=tuple(summaries)))
        self._summed = now

    def _newly_given_up(self, pipeline: str, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Since the last summary; after a reload a pipeline's count begins anew."""
        before, now = self._given_up.get(pipeline, Counter()), Counter(counts)
        self._given_up[pipeline] = now
        return now - before if before <= now else now

    def _baseline(self, pipeline: str, model: str) -> Baseline:
        """What drift is measured against; anew where the model is another than before."""
        known = self._baselines.get(pipeline)
        if known is None or known.model != model:
            kept = json.loads(self._store.baselines()).get(pipeline, {})
            known = self._baselines[pipeline] = restored(kept, model)
        return known

    def _keep_baselines(self) -> None:
        text = dump({name: each.document() for name, each in self._baselines.items()})
        if text != self._kept_baselines:
            self._store.keep_baselines(text)
            self._kept_baselines = text

    def tell(self) -> None:
        """The retained topics: `state` for dashboards, `health` for whoever looks after it."""
        if self._publisher is None:
            return
        watch, told = self._watch(), self._surroundings.told
        paused = self._surroundings.paused
        here = {name: each for name, each in present(watch).items() if name not in paused}
        self._publisher.retained("state", {"present": here, "open": open_rules(watch)})
        views = self._views()
        self._publisher.watches(
            tuple(
                (name, rule.name)
                for name, runner in watch.runners.items()
                for rule in runner.assembled.spec.rules
            ),
            tuple(watch.runners),
            tuple(views.models),
            tuple(views.policies),
        )
        reasons, expires = self._reasons(watch), []
        budget = None if self._spending is None else self._spending.facts()
        if budget is not None and budget.spent_since is not None and budget.opens is not None:
            reasons.append({"code": "budget_spent", "since": told(budget.spent_since)})
            expires.append({"what": "budget_spent", "at": told(budget.opens)})
        health = {
            "reasons": reasons,
            "expires": expires,
            "models": outlook.told(views.models),
            "policies": outlook.told(views.policies),
        }
        self._publisher.retained("health", health)

    def _reasons(self, watch: Watch) -> list[dict[str, Any]]:
        """Why this device is not well, and since when."""
        told = self._surroundings.told
        reasons = [
            {"code": "source_lost", "since": told(capture.facts.since)}
            for capture in watch.captures.values()
            if capture.facts.state == "lost"
        ]
        reasons += [{"code": each.code, "since": told(each.since)} for each in watch.notices]
        reasons += [
            {"code": f"camera_{event.label}", "since": told(event.opened)}
            for event in watch.unwell()
        ]
        reasons += [
            {"code": "output_failing", "since": told(facts.failing_since)}
            for facts in watch.outputs.facts().values()
            if facts.failing_since is not None
        ]
        reasons += [
            {"code": "model_lies", "since": told(runner.known.since)}
            for runner in watch.runners.values()
            if runner.known.since is not None
        ]
        reasons += [
            {"code": each.code, "since": told(self._began)} for each in self._store.troubles
        ]
        reasons += [
            {"code": "events_given_up", "since": told(each.since)}
            for each in (runner.recorder.undeclared for runner in watch.runners.values())
            if each.since is not None
        ]
        if self._store.database.refusal is None:
            self._refused_since = None
        else:
            self._refused_since = self._refused_since or self._surroundings.now()
            reasons.append({"code": "disk_refuses", "since": told(self._refused_since)})
        reasons += [
            {"code": each.code, "since": told(each.since)}
            for each in board_reasons(self._surroundings.board, everything=True)
        ]
        return reasons

    def _draft(self, place: int, now: float, body: str) -> Draft:
        """`place` stands for the pipeline in the id: a name may be too long for 1000 bytes."""
        identity = self._store.identity
        return Draft(
            id=f"summary/{identity.store[:8]}/{identity.boot}/{round(now * 1000)}/{place}",
            topic="summary",
            time=now,
            body=body,
            clock=self._surroundings.clock_word,
        )

    def _rhythm(self) -> Rhythm:
        config = self._watch().config
        return Rhythm(config.store.flush_s, config.summary.every_s)


def present(watch: Watch) -> dict[str, dict[str, Any]]:
    """Per pipeline how many of each label are in sight now, in all and in each zone that has any.

    A hidden track and one of a single frame do not count; where nobody watches nothing is there.
    """
    found: dict[str, dict[str, Any]] = {}
    blind = {event.pipeline for event in watch.unwell() if event.label in BLINDING}
    for name, runner in watch.runners.items():
        spec = runner.assembled.spec
        delivers = watch.captures[spec.source].facts.state == "delivering"
        seen = [
            track
            for track in runner.assembled.pipeline.tracks
            if delivers and name not in blind and track.visible and track.hits >= STEADY
        ]
        found[name] = {
            "labels": labels_of(seen),
            "zones": {
                zone.name: labels_of(inside)
                for zone in spec.zones
                if (inside := [each for each in seen if _stands_in(each, zone)])
            },
        }
    return found


def open_rules(watch: Watch) -> dict[str, list[str]]:
    """Of each pipeline that has any, the rules that have an open event."""
    rules: dict[str, set[str]] = defaultdict(set)
    for event in watch.open_events():
        rules[event.pipeline].add(event.rule)
    return {name: sorted(found) for name, found in rules.items()}


def _stands_in(track: Track, zone: Zone) -> bool:
    return zone.contains(anchor_point(track.box, "bottom"))


def labels_of(tracks: list[Track]) -> dict[str, int]:
    return dict(sorted(Counter(track.label for track in tracks).items()))
