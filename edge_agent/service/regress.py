"""The regression gate: the pinned cases of this site through another configuration or model.

Each case is replayed like any recording; `policy/regress.py` judges what it raised. Read `cases.py`
for what a case is, `replay.py` for how it runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from edge_agent.bundles.find import find
from edge_agent.config.schema import Config
from edge_agent.errors import EdgeError, Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.policy.documents import parse_rfc3339
from edge_agent.policy.regress import Alarm, Expectation, Verdict, judge
from edge_agent.service.assemble import Site
from edge_agent.service.cases import Case, alarm_document, keep
from edge_agent.service.replay import Wishes, replay
from edge_agent.store.rows import StoredEvent


@frozen
class Candidate:
    """What is tried: a configuration, with other models in some of its pipelines."""

    config: Config
    site: Site
    models: Mapping[str, str] = field(default_factory=dict)  # reference by pipeline

    def resolved(self) -> Config:
        pipelines = dict(self.config.pipelines)
        for name, model in self.models.items():
            pipelines[name] = replace(pipelines[name], model=model)
        return replace(self.config, pipelines=pipelines)


@frozen
class Tried:
    """What became of one case. `reason` says why it could not be tried at all."""

    case: Case
    verdict: Verdict
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict.passed and not self.reason

    @property
    def words(self) -> str:
        """One clause for a person."""
        said = [f"lost {alarm.text}" for alarm in self.verdict.lost]
        said += [f"new {alarm.text}" for alarm in self.verdict.new]
        return self.reason or "; ".join(said) or "as pinned"


def regress(found: Sequence[Case], candidate: Candidate) -> tuple[Tried, ...]:
    """Try every case. A model that does not run raises as it does everywhere; a case that cannot be
    replayed has not passed."""
    config = candidate.resolved()
    return tuple(_try(case, config, candidate.site) for case in found)


def gate(found: Sequence[Case], candidate: Candidate) -> tuple[Tried, ...]:
    """The same; raises Refused, which names the cases, where one has not passed."""
    tried = regress(found, candidate)
    failed = [each for each in tried if not each.passed]
    if failed:
        raise speaks_against(failed, len(tried))
    return tried


def speaks_against(failed: Sequence[Tried], count: int) -> Refused:
    """The refusal that names the cases, of `count` that were tried."""
    which = "; ".join(f"case {each.case.name}: {each.words}" for each in failed)
    return Refused(
        f"{len(failed)} of {count} pinned cases of this site speak against it: {which}",
        f"if a case is wrong: edge-agent events unpin {failed[0].case.name}",
    )


def models_for(config: Config, model: str, site: Site) -> dict[str, str]:
    """The pipelines whose model bears the same name as `model`, and `model` for each.

    Raises UsageError when there is none."""
    name = find(model, site.state, site.beside).name
    used = {
        pipeline: find(spec.model, site.state, site.beside).name
        for pipeline, spec in config.pipelines.items()
    }
    chosen = {pipeline: model for pipeline, its in used.items() if its == name}
    if not chosen:
        known = ", ".join(sorted(set(used.values()))) or "none"
        raise UsageError(f"no pipeline uses a model named {name}", f"those used: {known}")
    return chosen


def pin_event(stored: StoredEvent, candidate: Candidate, *, nothing: bool, case: Case) -> Case:
    """Pin what an event kept. `nothing`: it was a false alarm, and must not come again.

    `case` has the name, the note and the moment of the pinning. Raises EdgeError where the event
    kept nothing that shows it again.
    """
    event = stored.event
    entry = _recording_of(stored)
    start = parse_rfc3339(entry["from"]) if "from" in entry else event.opened
    about = (event.rule, event.label, event.zone)
    case = replace(
        case,
        pipeline=event.pipeline,
        recording=candidate.site.state / str(entry["path"]),
        start=start,
        rules=(event.rule,),
        event=event.id,
    )
    raised = _alarms(case, candidate.config, candidate.site)
    # Earlier in the clip than then is fine: no cool-down of an event before it was running.
    if not nothing and not any((each.rule, each.label, each.zone) == about for each in raised):
        seen = ", ".join(alarm.text for alarm in raised) or "nothing"
        raise EdgeError(
            f"what event {event.id[:8]} kept does not raise {event.rule} again, but {seen}",
            f"let rule {event.rule} keep a longer clip: evidence: [{{clip: {{pre_s: 10}}}}]",
        )
    expected = Expectation((), raised) if nothing else Expectation(raised)
    return keep(candidate.site.state, replace(case, expected=expected))


def pin_recording(case: Case, candidate: Candidate, *, nothing: bool) -> Case:
    """Pin a recording with what it raises now: it must raise the same with what comes.

    `nothing`: it must raise nothing, whatever it does now.
    """
    if case.pipeline not in candidate.config.pipelines:
        known = ", ".join(candidate.config.pipelines)
        raise UsageError(f"there is no pipeline {case.pipeline!r}", f"those there are: {known}")
    raised = _alarms(case, candidate.config, candidate.site)
    expected = Expectation((), raised) if nothing else Expectation(raised)
    return keep(candidate.site.state, replace(case, expected=expected))


def document(tried: Sequence[Tried]) -> dict[str, Any]:
    """`regress/1`."""
    return {
        "schema": "regress/1",
        "verdict": "passed" if all(each.passed for each in tried) else "refused",
        "cases": [_tried_document(each) for each in tried],
    }


def _tried_document(tried: Tried) -> dict[str, Any]:
    return {
        "name": tried.case.name,
        "pipeline": tried.case.pipeline,
        "verdict": "passed" if tried.passed else "refused",
        "reason": tried.reason or None,
        "lost": [alarm_document(alarm) for alarm in tried.verdict.lost],
        "new": [alarm_document(alarm) for alarm in tried.verdict.new],
        "mended": [alarm_document(alarm) for alarm in tried.verdict.mended],
    }


def _try(case: Case, config: Config, site: Site) -> Tried:
    if case.pipeline not in config.pipelines:
        gone = Verdict(case.expected.alarms, ())
        return Tried(case, gone, f"there is no pipeline {case.pipeline} any more")
    return Tried(case, judge(case.expected, _alarms(case, config, site)))


def _alarms(case: Case, config: Config, site: Site) -> tuple[Alarm, ...]:
    """What a case raises: every alert, and what else counts in it."""
    wishes = Wishes(pipelines=(case.pipeline,), site=site, start=case.start)
    lines = replay(str(case.recording), case.recording.name, config, wishes).events
    events = [json.loads(line) for line in lines]
    return tuple(
        Alarm(
            event["rule"],
            event["label"],
            event["zone"],
            round(parse_rfc3339(event["opened"]) - case.start, 3),
        )
        for event in events
        if event["priority"] == "alert" or event["rule"] in case.rules
    )


def _recording_of(stored: StoredEvent) -> Mapping[str, Any]:
    """Its clip, or the window of a signal: what can be replayed."""
    kinds = {str(entry["kind"]): entry for entry in stored.event.evidence}
    for kind in ("clip", "window"):
        if kind in kinds:
            return kinds[kind]
    event = stored.event
    raise UsageError(
        f"event {event.id[:8]} kept no clip that could be replayed",
        f"give rule {event.rule} evidence: [clip], and pin one of its next events",
    )


def new_case(name: str, note: str, now: float | None = None) -> Case:
    """A case that is yet to be filled in."""
    pinned = time.time() if now is None else now
    return Case(name, "", Path(), 0.0, Expectation(()), note=note, pinned=pinned)
