"""Shadows of one candidate, one beside each pipeline that runs a model of its name.

The verdict is that of the pipeline that speaks against it most. Read `shadow.py` first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge_agent.bundles.bundle import Bundle
from edge_agent.engines.choice import choose
from edge_agent.engines.measure import kept
from edge_agent.frozen import frozen
from edge_agent.host.process import pss_mb
from edge_agent.pipeline.bystander import Bystander
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.guardrails import worst
from edge_agent.policy.ota import Version
from edge_agent.policy.rollout import Shadowing
from edge_agent.policy.shadow import Tally, Verdict
from edge_agent.service.assemble import Assembled, parts_of
from edge_agent.service.models import open_model
from edge_agent.service.outlook import Compared
from edge_agent.service.runner import Runner, stopwatch
from edge_agent.service.shadow import Pair, Shadow
from edge_agent.service.supervisor import Group
from edge_agent.service.watch import Watch

log = logging.getLogger("edge_agent.shadow")

#: A candidate's thread ends within one look.
STOP_S = 2.0
#: One that takes longer for a frame hangs.
ANSWER_S = 10.0
_BOXED = frozenset({"ssd", "yolo", "fomo", "pose", "segmentation"})


@frozen
class Ended:
    """What became of a candidate's shadows. `document` is `shadow/1`."""

    what: Version
    verdict: Verdict
    document: dict[str, Any]


@frozen
class Beside:
    """A shadow, and what it stands beside: another model or another pipeline there ends it."""

    runner: Runner
    assembled: Assembled
    shadow: Shadow

    @property
    def still_there(self) -> bool:
        return self.runner.assembled is self.assembled


class Shadows:
    """One candidate at a time. One thread begins, looks and ends."""

    def __init__(self, watch: Callable[[], Watch]) -> None:
        self._watch = watch
        self._group = _group()
        self._beside: dict[str, Beside] = {}
        self._said: dict[str, tuple[Verdict, Tally]] = {}
        self._bundle: Bundle | None = None
        self._memory_mb = 0.0

    @property
    def candidate(self) -> Version | None:
        """The candidate that is in the shadow now."""
        return None if self._bundle is None else self._bundle.what

    @property
    def compared(self) -> Compared | None:
        """How far it is, in the pipeline that is furthest behind. Any thread may ask."""
        bundle, shadows = self._bundle, [each.shadow for each in tuple(self._beside.values())]
        if bundle is None or not shadows:
            return None
        least = min(shadows, key=lambda shadow: shadow.tally.frames)
        return Compared(bundle.name, least.tally.frames, least.frames, least.waits)

    def begin(self, bundle: Bundle, shadowing: Shadowing, guardrails: Mapping[str, float]) -> int:
        """Beside each pipeline of its name; how many there are. Raises Refused, NoRoom of the
        model; nothing is left running then."""
        self.end()
        before = pss_mb()
        beside = {
            runner.name: self._shadow(runner, bundle, shadowing, guardrails)
            for runner in self._watch().of_model(bundle.name)
        }
        self._memory_mb = max(0.0, pss_mb() - before)
        for name, each in beside.items():
            each.runner.shadow = each.shadow
            self._group.start(f"shadow {name}", each.shadow.run)
        self._beside = beside
        self._bundle = bundle if beside else None
        return len(beside)

    def look(self) -> Ended | None:
        """The verdict, once every pipeline has its own; the shadows have ended then."""
        bundle = self._bundle
        if bundle is None:
            return None
        running = self._watch().runners
        for name, each in self._beside.items():
            if running.get(name) is not each.runner or not each.still_there:
                self.end()  # it would be compared with something else: it begins once more
                return None
            if name not in self._said and each.shadow.silent_s > ANSWER_S:
                each.shadow.fail(f"it gave no answer for {ANSWER_S:.0f} s")
        if self._said.keys() != self._beside.keys():
            return None
        ended = Ended(
            bundle.what, together([verdict for verdict, _ in self._said.values()]),
            self._document(bundle),
        )  # fmt: skip
        self.end()
        return ended

    def end(self) -> None:
        """Stop them; more than once is fine."""
        for each in self._beside.values():
            if each.runner.shadow is each.shadow:
                each.runner.shadow = None
        self._group.stop(STOP_S)
        # A thread that hangs is left behind; what it says later is not of the next candidate.
        self._group, self._beside, self._said, self._bundle = _group(), {}, {}, None

    def _shadow(
        self,
        runner: Runner,
        bundle: Bundle,
        shadowing: Shadowing,
        guardrails: Mapping[str, float],
    ) -> Beside:
        old, state = runner.assembled, self._watch().state
        spec = old.spec
        plan = choose(spec.engine, spec.threads, kept(state, bundle.manifest.sha256)).plan  # type: ignore[arg-type]
        opened = open_model(bundle, plan, state)
        pair = Pair(
            Bystander(parts_of(spec, old.model, old.engine, old.ident), stopwatch),
            Bystander(parts_of(spec, opened.spec, opened.engine, old.ident), stopwatch),
            boxed=opened.spec.family in _BOXED,
            labelled=opened.spec.family == "classification",
        )
        said = self._said

        def done(verdict: Verdict, tally: Tally) -> None:
            said.setdefault(runner.name, (verdict, tally))

        return Beside(runner, old, Shadow(pair, shadowing, guardrails, done))

    def _document(self, bundle: Bundle) -> dict[str, Any]:
        pipelines = {
            name: {
                "verdict": "passed" if verdict.passed else "failed",
                "reason": verdict.reason,
                "frames": tally.frames,
                "findings": {
                    "active": tally.active.findings,
                    "candidate": tally.candidate.findings,
                    "both": tally.alike,
                },
                "would_be_events": {
                    "active": tally.active.events,
                    "candidate": tally.candidate.events,
                },
                "numbers": dict(verdict.numbers),
            }
            for name, (verdict, tally) in self._said.items()
        }
        return {
            "schema": "shadow/1",
            "name": bundle.name,
            "version": bundle.manifest.version,
            "sha256": bundle.manifest.sha256,
            "ended": rfc3339(time.time()),
            "memory_mb": round(self._memory_mb, 1),
            "pipelines": pipelines,
        }


def _group() -> Group:
    """A shadow tells of its own failures: none of them is the agent's."""
    return Group("shadows", lambda part: None)


def together(verdicts: list[Verdict]) -> Verdict:
    """The first that fails, with each number at its worst."""
    failed = next((each for each in verdicts if not each.passed), None)
    numbers = worst(each.numbers for each in verdicts)
    return Verdict(failed is None, "" if failed is None else failed.reason, numbers)
