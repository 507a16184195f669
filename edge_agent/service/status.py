"""`status/1`: whether it is well, and every figure behind that; from the agent, or its database.

`verdict`: well, degraded (it works, something needs a look), down (nobody watches). Each reason
says in words what is wrong and what to do. Both ways give the same keys; what a database cannot
know is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from edge_agent.errors import NotRunning
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.wear import from_text
from edge_agent.service.board import board_reasons, thermal_document
from edge_agent.service.ledger import frames_document
from edge_agent.service.moments import duration
from edge_agent.store.rows import Depth, Identity, LastStatus
from edge_agent.types import Ledger

if TYPE_CHECKING:  # a technician who asks the database of an agent that is down waits for little
    from edge_agent.service.capture import SourceFacts
    from edge_agent.service.outputs import OutputFacts
    from edge_agent.service.surroundings import Surroundings
    from edge_agent.service.watch import Watch
    from edge_agent.store.record import Store
    from edge_agent.uplink.outbox import BudgetFacts
    from edge_agent.uplink.publisher import Publisher, UplinkFacts

Document: TypeAlias = dict[str, Any]
#: A moment on the agent's own time as others read it.
Told: TypeAlias = Callable[[float], str]

#: A backlog of more messages than this is worth a word.
LONG_QUEUE = 1000
#: A source in one of these states delivers nothing.
BLIND = ("lost", "ended")


def live_status(
    watch: Watch, store: Store, surroundings: Surroundings, publisher: Publisher | None
) -> Document:
    """The running agent."""
    told = surroundings.told
    depth = store.outbox.depth()
    uplink = None if publisher is None else publisher.facts()
    sources = {name: capture.facts for name, capture in watch.captures.items()}
    reasons = [
        *(_reason(each.code, each.message, each.next) for each in watch.notices),
        *_source_reasons(sources, surroundings.now()),
        *_pause_reasons(surroundings),
        *_uplink_reasons(uplink, depth),
        *_budget_reasons(uplink, told),
        *_failure_reasons(watch),
        *_lie_reasons(watch, surroundings.now()),
        *_disk_reasons(watch, store),
        *_camera_reasons(watch),
        *_output_reasons(watch),
        *_board_reasons(surroundings),
    ]
    blind = not watch.runners or (
        bool(sources) and all(facts.state in BLIND for facts in sources.values())
    )
    verdict = "down" if blind else ("degraded" if reasons else "well")
    return {
        **_document(store.identity, verdict, reasons, depth),
        "running": True,
        "sources": {name: _source(facts, told) for name, facts in sources.items()},
        "pipelines": _pipelines(watch, surroundings),
        "outputs": {name: _output(facts, told) for name, facts in watch.outputs.facts().items()},
        "broker": None if uplink is None else _broker(uplink, told),
        "temperature_c": surroundings.board.celsius,
        "thermal": thermal_document(surroundings.board, told),
        "clock": surroundings.clock_word,
    }


def stored_status(last: LastStatus, now: float, why: NotRunning) -> Document:
    """What the database alone can say: the state at its last write. `why` nobody answered."""
    message = f"{why.message}; {_last_sign(last, now)}"
    reasons = [_reason(why.code, message, why.next)]
    open_events = [stored.event.pipeline for stored in last.open]
    return {
        **_document(last.identity, "down", reasons, last.outbox),
        "written_mb_per_day": from_text(last.wear).mb_per_day(),
        "pipelines": {
            name: {**_pipeline(ledger), "open_events": open_events.count(name)}
            for name, ledger in last.ledgers.items()
        },
    }


# --- below: the parts of the document ------------------------------------------------------------


def _document(
    identity: Identity, verdict: str, reasons: list[dict[str, str]], queue: Depth
) -> Document:
    """Every key, as far as the store alone knows it."""
    return {
        "schema": "status/1",
        "verdict": verdict,
        "reasons": reasons,
        "running": False,
        "boot": identity.boot,
        "store": identity.store,
        "sources": {},
        "pipelines": {},
        "outputs": {},
        "temperature_c": None,
        "thermal": None,
        "queue": {"depth": queue.depth, "oldest_seq": queue.oldest_seq},
        "broker": None,
        "clock": None,
        "ota": None,
        "policies": [],
        "overridden": [],
        "written_mb_per_day": None,
    }


def _source(facts: SourceFacts, told: Told) -> Document:
    document = {**asdict(facts), "since": told(facts.since)}
    return {key: value for key, value in document.items() if key not in ("latest", "period_s")}


def _output(facts: OutputFacts, told: Told) -> Document:
    since = facts.failing_since
    return {**asdict(facts), "failing_since": None if since is None else told(since)}


def _broker(facts: UplinkFacts, told: Told) -> Document:
    return {
        **asdict(facts),
        "since": None if facts.since is None else told(facts.since),
        "budget": None if facts.budget is None else _budget(facts.budget, told),
    }


def _budget(facts: BudgetFacts, told: Told) -> Document:
    return {
        "mb_per_day": facts.mb_per_day,
        "sent_mb": round(facts.sent_mb, 3),
        "spent_since": None if facts.spent_since is None else told(facts.spent_since),
        "opens": None if facts.opens is None else told(facts.opens),
    }


def _pipeline(ledger: Ledger) -> Document:
    unknown = (
        "given_up",
        "fps",
        "model",
        "engine",
        "threads",
        "chosen",
        "invoke_ms",
        "open_events",
        "point",
    )
    return {"ledger": frames_document(ledger), **dict.fromkeys(unknown)}


def _pipelines(watch: Watch, surroundings: Surroundings) -> Document:
    found = {}
    for name, runner in watch.runners.items():
        assembled = runner.assembled
        found[name] = {
            **_pipeline(runner.account.ledger()),
            "given_up": dict(runner.recorder.given_up),
            "fps": round(runner.rate.per_second(surroundings.now()), 2),
            "model": f"{assembled.about.model} {assembled.about.version}",
            "engine": f"{assembled.engine.name} {assembled.engine.version}",
            "threads": assembled.engine.threads,
            "chosen": assembled.choice.reason,
            "invoke_ms": round(runner.meter.p50("invoke"), 3),
            "open_events": len(runner.open_events()),
            "point": asdict(surroundings.board.points.point(name)),
        }
    return found


# --- below: what is not well ---------------------------------------------------------------------


def _reason(code: str, message: str, next_step: str) -> dict[str, str]:
    return {"code": code, "message": message, "next": next_step}


def _source_reasons(sources: dict[str, SourceFacts], now: float) -> list[dict[str, str]]:
    found = []
    for name, facts in sources.items():
        span = duration(max(0.0, now - facts.since))
        if facts.state == "lost":
            message = f"source {name} is lost for {span}: {facts.reason}"
            step = facts.next or "look at its uri (edge-agent sources list)"
            found.append(_reason("source_lost", message, step))
        if facts.state == "ended":
            message = f"source {name} came to its end {span} ago"
            step = "restart the agent; a recording with loop: true begins again by itself"
            found.append(_reason("source_ended", message, step))
    return found


def _pause_reasons(surroundings: Surroundings) -> list[dict[str, str]]:
    return [
        _reason("paused", f"pipeline {name} is paused", f"edge-agent resume {name}")
        for name in sorted(surroundings.paused)
    ]


def _failure_reasons(watch: Watch) -> list[dict[str, str]]:
    """Frames that failed on their way."""
    found = []
    for name, runner in watch.runners.items():
        if runner.failure:
            message = f"pipeline {name} failed on a frame lately: {runner.failure}"
            found.append(_reason("pipeline_failing", message, "look at the log of the agent"))
    return found


def _lie_reasons(watch: Watch, now: float) -> list[dict[str, str]]:
    """Models that answered otherwise than they should."""
    found = []
    for name, runner in watch.runners.items():
        known = runner.known
        if known.wrong and known.since is not None:
            message = (
                f"the model of pipeline {name} gives wrong answers to known questions for "
                f"{duration(now - known.since)}: {known.wrong[0]}"
            )
            found.append(_reason("model_lies", message, "systemctl restart edge-agent"))
    return found


def _disk_reasons(watch: Watch, store: Store) -> list[dict[str, str]]:
    """What is to be known of the database, and what the disk does not take."""
    found = [_reason(each.code, each.message, each.next) for each in store.troubles]
    for name, runner in watch.runners.items():
        if counts := runner.recorder.undeclared.counts:
            told = ", ".join(f"{count} of priority {word}" for word, count in counts.items())
            message = f"pipeline {name} gave up events that the disk did not take: {told}"
            found.append(_reason("events_given_up", message, "free some space; see: df -h"))
    refusal = store.database.refusal
    if refusal is None:
        return found
    waiting = sum(runner.recorder.waiting for runner in watch.runners.values())
    message = f"{refusal.message}; {waiting} events wait in memory"
    return [*found, _reason("disk_refuses", message, refusal.next)]


def _camera_reasons(watch: Watch) -> list[dict[str, str]]:
    """Cameras that are not well, as the open events of `camera_health` say."""
    return [
        _reason(
            f"camera_{event.label}", f"pipeline {event.pipeline}: {event.text}", event.advice or ""
        )
        for event in watch.unwell()
    ]


def _output_reasons(watch: Watch) -> list[dict[str, str]]:
    return [
        _reason("output_failing", f"output {name} fails: {facts.error}", facts.next)
        for name, facts in watch.outputs.facts().items()
        if facts.error
    ]


def _board_reasons(surroundings: Surroundings) -> list[dict[str, str]]:
    """Heat, power, and a sensor that lies."""
    return [
        _reason(each.code, each.message, each.next) for each in board_reasons(surroundings.board)
    ]


def _uplink_reasons(uplink: UplinkFacts | None, queue: Depth) -> list[dict[str, str]]:
    if uplink is None:
        return []
    found = []
    if not uplink.connected:
        message = f"no connection to the broker: {uplink.last_error or 'still connecting'}"
        step = uplink.next or "alerts are kept and sent when it comes back"
        found.append(_reason("broker_away", message, step))
    if uplink.set_aside:
        message = f"the broker refuses {uplink.set_aside} messages; they are set aside"
        step = "look at its log and at its ACL; a restart of the agent tries them again"
        found.append(_reason("refused", message, step))
    if queue.depth > LONG_QUEUE:
        message = f"{queue.depth} messages wait to be sent"
        found.append(_reason("backlog", message, "look at the broker, and at what is alerted"))
    return found


def _budget_reasons(uplink: UplinkFacts | None, told: Told) -> list[dict[str, str]]:
    facts = None if uplink is None else uplink.budget
    if facts is None or facts.opens is None:
        return []
    message = (
        f"the {facts.mb_per_day:g} MB by MQTT of a day are spent: only alerts leave until "
        f"{told(facts.opens)}, the rest is folded"
    )
    step = "raise mqtt.budget.mb_per_day or summary.every_s, or alert of less"
    return [_reason("budget_spent", message, step)]


def _last_sign(last: LastStatus, now: float) -> str:
    if last.written is None:
        return "it has written no ledger here"
    ago = f"{duration(now - last.written)} ago, " if now >= last.written else ""
    return f"it last wrote {ago}at {rfc3339(last.written)}"
