"""`edge-agent why`: why an event was raised, or why nothing was, on one screen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.names import complete_event, complete_pipeline, complete_rule
from edge_agent.cli.options import Place, config_option, json_option, place, state_option
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.service.hindsight import Hindsight
    from edge_agent.service.moments import Zone
    from edge_agent.store.query import Reader
    from edge_agent.store.rows import Judged, StoredEvent

#: What more there is, `events list` shows.
EVENTS_TOLD = 5


@click.command()
@click.argument("event", required=False, metavar="[EVENT]", shell_complete=complete_event)
@click.option("--pipeline", shell_complete=complete_pipeline, help="With --at: which one.")
@click.option("--at", metavar="WHEN", help="08:15, 10min (ago), 2026-01-31 08:15 or RFC 3339.")
@click.option("--rule", shell_complete=complete_rule, help="With --at: only this rule, in full.")
@config_option
@state_option
@json_option
def command(event: str | None, config: Path | None, state: Path | None, **said: Any) -> None:
    """The way to a verdict: gate, score, zone, confirm, dwell, cool-down, with their numbers.

    edge-agent why EVENT: why this one was raised.
    edge-agent why --pipeline P --at WHEN: what was decided then, and why nothing came of it.
    """
    from edge_agent.service.control import up_to_date
    from edge_agent.store.query import open_reader

    only = said["pipeline"] or said["rule"]
    if (event is None) == (said["at"] is None) or (event is not None and only):
        raise UsageError("say EVENT, or --pipeline P --at WHEN", "edge-agent why --help")
    here = place(state, config)
    up_to_date(here.state)
    with open_reader(here.state) as reader:
        if event is not None:
            _tell_event(reader.event(event), here, said["as_json"])
        else:
            _tell_moment(reader, here, said)


# --- why this one --------------------------------------------------------------------------------


def _tell_event(stored: StoredEvent, here: Place, as_json: bool) -> None:
    from edge_agent.policy.documents import dump, event_document

    if as_json:
        click.echo(dump(event_document(stored.event, stored.about)))
    else:
        click.echo("\n".join(_event_lines(stored, here)))


def _event_lines(stored: StoredEvent, here: Place) -> list[str]:
    from edge_agent.cli.render import duration, wrapped
    from edge_agent.pipeline.why import explain
    from edge_agent.policy.documents import evidence_word
    from edge_agent.service.moments import local, zone_of

    event, zone = stored.event, zone_of(here.timezone)
    closed = "still open"
    if event.closed is not None:
        closed = f"closed after {duration(event.closed - event.opened)} ({event.close_reason})"
    lines = [
        *wrapped("", event.text),
        f"  {event.priority.value} {event.id}, frame {event.frame}",
        *wrapped("  ", f"rule {event.rule} of pipeline {event.pipeline}"),
        *wrapped("  ", f"opened {local(event.opened, zone, 'milliseconds')} ({zone.name})"),
        f"  {closed}",
        "",
        *_printable(explain(event.decisions)),
    ]
    tail = wrapped("advice: ", event.advice) if event.advice else []
    tail += [f"{evidence_word(each)}: {here.state / str(each['path'])}" for each in event.evidence]
    return [*lines, "", *tail] if tail else lines


# --- why nothing ---------------------------------------------------------------------------------


def _tell_moment(reader: Reader, here: Place, said: dict[str, Any]) -> None:
    from edge_agent.policy.documents import dump
    from edge_agent.service.hindsight import document, hindsight
    from edge_agent.service.moments import moment, zone_of

    now = time.time()
    at = moment(said["at"], now, zone_of(here.timezone))
    found = hindsight(reader, _pipeline(reader, said["pipeline"]), at.time, now)
    found = _only(found, said["rule"])
    if said["as_json"]:
        click.echo(dump(document(found)))
        return
    click.echo("\n".join(_moment_lines(found, at.zone)))


def _pipeline(reader: Reader, wanted: str | None) -> str:
    """The one that is meant. Raises UsageError where that is not one that ever wrote here."""
    from edge_agent.config.wording import did_you_mean

    known = reader.pipelines()
    if not known:
        raise UsageError(
            "no pipeline has written a ledger here yet",
            "it is written every store.flush_s; of an event: edge-agent why EVENT",
        )
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None:
        raise UsageError("say which pipeline: --pipeline P", f"one of: {', '.join(known)}")
    if wanted not in known:
        raise UsageError(
            f"there is no pipeline {wanted!r}{did_you_mean(wanted, known)}",
            f"one of: {', '.join(known)}",
        )
    return wanted


def _only(found: Hindsight, rule: str | None) -> Hindsight:
    """What concerns that rule. Raises UsageError where nothing does."""
    from dataclasses import replace

    from edge_agent.config.wording import did_you_mean

    if rule is None:
        return found
    events = tuple(stored for stored in found.events if stored.event.rule == rule)
    misses = tuple(miss for miss in found.misses if miss.rule == rule)
    known = {stored.event.rule for stored in found.events} | {
        miss.rule for miss in found.misses if miss.rule
    }
    if known and rule not in known:
        raise UsageError(
            f"nothing of a rule {rule!r} was kept then{did_you_mean(rule, known)}",
            f"one of: {', '.join(sorted(known))}",
        )
    return replace(found, events=events, misses=misses)


def _moment_lines(found: Hindsight, zone: Zone) -> list[str]:
    """The verdict, the ledger, the events, the skips, where each rule stopped."""
    from edge_agent.cli.render import wrapped
    from edge_agent.service.moments import local

    lines = [
        *wrapped("", f"pipeline {found.pipeline} at {local(found.time, zone)} ({zone.name})"),
        found.verdict,
        "",
        *wrapped("frames  ", _frames(found, zone)),
        *_events(found, zone),
        *_skips(found, zone),
        *_misses(found, zone),
    ]
    if found.oldest is not None:
        kept = f"why they raised nothing is kept only since {local(found.oldest, zone)}"
        lines += wrapped("rules   ", kept)
    return lines


def _frames(found: Hindsight, zone: Zone) -> str:
    from edge_agent.cli.render import account
    from edge_agent.service.moments import local
    from edge_agent.types import Ledger

    row = found.window
    if row is None:
        return found.gap
    span = f"{local(row.began, zone)[11:]} to {local(row.ended, zone)[11:]}"
    ledger = Ledger(row.captured, row.inferred, row.skipped, row.failed, 0)
    return f"{span}: {account(ledger)}"


def _events(found: Hindsight, zone: Zone) -> list[str]:
    from edge_agent.cli.render import wrapped
    from edge_agent.service.moments import local

    lines = []
    for stored in found.events[:EVENTS_TOLD]:
        event = stored.event
        head = f"event   {local(event.opened, zone)[11:]} "
        lines += wrapped(head, f"{event.text} (edge-agent why {event.id[:8]})")
    more = len(found.events) - EVENTS_TOLD
    return [*lines, f"        and {more} more (edge-agent events list)"] if more > 0 else lines


def _skips(found: Hindsight, zone: Zone) -> list[str]:
    from edge_agent.cli.render import wrapped
    from edge_agent.service.moments import local

    lines = []
    for skip in found.skips:
        told = _told(skip)[-1].removeprefix("skip   gate: ")
        lines += wrapped(f"skip    {local(skip.time, zone)[11:]} ", told)
    return lines


def _misses(found: Hindsight, zone: Zone) -> list[str]:
    """Where each rule stopped; of the one that got furthest its whole way."""
    from edge_agent.cli.render import wrapped
    from edge_agent.service.moments import local

    if not found.misses:
        return []
    first, *others = found.misses
    lines = []
    for miss in others:
        told = f"{miss.rule} stopped: {_told(miss)[-1].removeprefix('stop   ')}"
        lines += wrapped(f"rule    {local(miss.time, zone)[11:]} ", told)
    who = "it" if first.track is None else f"track {first.track} ({first.label})"
    told = f"{first.rule}: {who} stopped at {first.decisions[-1].stage}"
    lines += ["", *wrapped(f"rule    {local(first.time, zone)[11:]} ", told), *_told(first)]
    return [*lines, "", "the whole way of another: --rule RULE"] if others else lines


def _told(judged: Judged) -> list[str]:
    """One line a decision, without the conclusion."""
    from edge_agent.pipeline.why import explain

    return _printable(explain(judged.decisions)[: len(judged.decisions)])


def _printable(lines: Sequence[str]) -> list[str]:
    from edge_agent.config.wording import printable

    return [printable(line) for line in lines]
