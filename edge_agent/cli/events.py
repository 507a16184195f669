"""`edge-agent events`: the local store, whether the agent runs or not."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.erase import erase_events
from edge_agent.cli.names import complete_event, complete_pipeline, complete_rule
from edge_agent.cli.options import Place, config_option, json_option, place, state_option, to_type
from edge_agent.cli.pin import pin_event, unpin

if TYPE_CHECKING:
    from edge_agent.service.moments import Zone
    from edge_agent.store.query import Reader
    from edge_agent.store.rows import EventFilter, StoredEvent
    from edge_agent.types import Event

FOLLOW_S = 1.0
NEWEST = 20
#: Among so many events a mistyped name is looked for.
LOOKED_THROUGH = 1000


@click.group()
def command() -> None:
    """List, show, follow and export what was seen."""


def filter_options(function: Any) -> Any:
    for option in (
        click.option("--pipeline", shell_complete=complete_pipeline, help="Only of this pipeline."),
        click.option(
            "--priority", type=click.Choice(["alert", "notice", "record"]), help="Only of this one."
        ),
        click.option("--rule", shell_complete=complete_rule, help="Only of this rule."),
        click.option("--since", metavar="WHEN", help="24h, 08:15, 2026-01-31 08:15 or RFC 3339."),
    ):
        function = option(function)
    return function


@command.command("list")
@filter_options
@click.option("-n", "limit", type=click.IntRange(1), default=NEWEST, help="At most. [20]")
@config_option
@state_option
@json_option
def list_events(config: Path | None, state: Path | None, as_json: bool, **wanted: Any) -> None:
    """The newest events first."""
    from edge_agent.store.query import open_reader

    here = place(state, config)
    limit = wanted.pop("limit")
    only = _filter(wanted | {"limit": limit + 1}, here)  # one more tells whether there are more
    with open_reader(here.state) as reader:
        found = reader.events(only)
        if as_json:
            click.echo("".join(f"{_document(stored)}\n" for stored in found[:limit]), nl=False)
        elif found:
            _table(found[:limit], here, more=len(found) > limit)
        else:
            click.echo(_nothing(reader, only))


@command.command()
@click.argument("event", metavar="ID", shell_complete=complete_event)
@config_option
@state_option
@json_option
def show(event: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """One event by its id, or by the beginning of it."""
    from edge_agent.store.query import open_reader

    here = place(state, config)
    with open_reader(here.state) as reader:
        stored = reader.event(event)
        said = reader.label(stored.event.id)
    verdict = "" if said is None else str(said.is_true).lower()
    click.echo(_document(stored) if as_json else "\n".join(_words(stored, here, verdict)))


@command.command()
@click.argument("event", metavar="ID", shell_complete=complete_event)
@click.argument("verdict", type=click.Choice(["true", "false"]))
@config_option
@state_option
@json_option
def label(event: str, verdict: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """Say whether an event was what it said it was: right (true) or a false alarm."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import up_to_date
    from edge_agent.store.labels import Label
    from edge_agent.store.query import open_reader
    from edge_agent.store.record import open_store

    here = place(state, config)
    with open_reader(here.state) as reader:
        found = reader.event(event).event
    up_to_date(here.state)
    with open_store(here.state) as store:
        store.label(Label(found.id, verdict == "true", time.time(), "cli"))
    if as_json:
        click.echo(dump({"schema": "label/1", "event": found.id, "label": verdict == "true"}))
    else:
        click.echo(f"{found.id[:8]} is labelled {verdict}: {found.text}")


@command.command()
@config_option
@state_option
@json_option
def follow(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Events as they open and close, until ctrl-C."""
    from edge_agent.service.moments import zone_of
    from edge_agent.service.news import News
    from edge_agent.store.query import open_reader

    here = place(state, config)
    zone = zone_of(here.timezone)
    with open_reader(here.state) as reader:
        if sys.stdout.isatty():
            click.echo(f"waiting for events (times in {zone.name}); ctrl-C ends it", err=True)
        news = News(reader)
        while True:
            for stored in news.look():
                click.echo(_document(stored) if as_json else "\n".join(_lines(stored, zone)))
            time.sleep(FOLLOW_S)


@command.command()
@filter_options
@click.option("-n", "limit", type=click.IntRange(1), help="Only so many, the newest. [all]")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, metavar="FILE")
@config_option
@state_option
def export(config: Path | None, state: Path | None, target: Path, **wanted: Any) -> None:
    """Write events to FILE: .csv, .jsonl, or .zip with their evidence."""
    from edge_agent.cli.render import plural
    from edge_agent.service.export import write_events
    from edge_agent.store.query import open_reader

    here = place(state, config)
    with open_reader(here.state) as reader:
        found = reader.events(_filter(wanted, here))
    held = write_events(target, found, here.state)
    kept = [plural(count, kind) for kind, count in sorted(held.items())] or ["no evidence"]
    also = f" and {' and '.join(kept)}" if target.suffix.lower() == ".zip" else ""
    click.echo(f"{plural(len(found), 'event')}{also} in {target}")


command.add_command(erase_events)
command.add_command(pin_event)
command.add_command(unpin)


# --- below: from rows to text ---------------------------------------------------------------------


def _filter(wanted: dict[str, Any], here: Place) -> EventFilter:
    from edge_agent.service.moments import moment, zone_of
    from edge_agent.store.rows import EventFilter

    since = wanted.pop("since")
    zone = zone_of(here.timezone)
    begin = None if since is None else moment(since, time.time(), zone).time
    return EventFilter(since=begin, **wanted)


def _document(stored: StoredEvent) -> str:
    from edge_agent.policy.documents import dump, event_document

    return dump(event_document(stored.event, stored.about))


def _table(found: Sequence[StoredEvent], here: Place, more: bool) -> None:
    from edge_agent.cli.render import table
    from edge_agent.service.moments import local, zone_of

    zone = zone_of(here.timezone)
    rows = [
        (
            stored.event.id[:8],
            local(stored.event.opened, zone),
            _lasted(stored.event),
            stored.event.priority.value,
            stored.event.text,
        )
        for stored in found
    ]
    table(("id", "opened", "lasted", "priority", "what"), rows, fold="what")
    click.echo(f"\ntimes in {zone.name}")
    if more:
        click.echo(f"these are the newest {len(found)}; -n {10 * len(found)} shows more")


def _nothing(reader: Reader, only: EventFilter) -> str:
    """A mistyped name must not read as "nothing happened"."""
    from edge_agent.config.wording import did_you_mean
    from edge_agent.store.rows import EventFilter

    events = [stored.event for stored in reader.events(EventFilter(limit=LOOKED_THROUGH))]
    text = "no events"
    if only.rule is not None:
        rules = {event.rule for event in events}
        text += f" of rule {only.rule}{did_you_mean(only.rule, rules - {only.rule})}"
    if only.pipeline is not None:
        pipelines = {*reader.pipelines(), *(event.pipeline for event in events)}
        text += f" of pipeline {only.pipeline}"
        text += did_you_mean(only.pipeline, pipelines - {only.pipeline})
    return text


def _lasted(event: Event) -> str:
    from edge_agent.cli.render import duration

    return "open" if event.closed is None else duration(event.closed - event.opened)


def _lines(stored: StoredEvent, zone: Zone) -> list[str]:
    """One event in the flow of `follow`."""
    from edge_agent.cli.render import wrapped
    from edge_agent.service.moments import local

    event = stored.event
    at = event.opened if event.closed is None else event.closed
    what = event.close_reason or "opened"
    head = f"{local(at, zone)}  {event.id[:8]}  {event.priority.value:<6}  {what}: "
    return wrapped(head, event.text)


def _words(stored: StoredEvent, here: Place, label: str) -> list[str]:
    from edge_agent.cli.render import wrapped
    from edge_agent.pipeline.sentence import score_text
    from edge_agent.policy.documents import evidence_word
    from edge_agent.service.moments import local, zone_of

    event, about, zone = stored.event, stored.about, zone_of(here.timezone)
    closed = "it is open"
    if event.closed is not None:
        closed = f"{local(event.closed, zone)} ({event.close_reason})"
    score, median = score_text(event.score_max), score_text(event.score_median)
    facts = {
        "id": f"{event.id} ({event.priority.value})",
        "rule": f"{event.rule} of pipeline {event.pipeline}, source {event.source}",
        "opened": f"{local(event.opened, zone)} ({zone.name})",
        "closed": closed,
        "lasted": _lasted(event),
        "score": f"{score} at most, {median} in the middle",
        "model": f"{about.model} {about.version} on {about.engine}",
        "": f"sha256 {about.sha256[:16]}…, config {about.config_sha256[:16]}…",
        "label": label,
        "advice": event.advice or "",
    }
    lines = wrapped("", event.text)
    for name, fact in facts.items():
        lines += wrapped(f"  {name:<8}", fact) if fact else []
    # Paths stay whole, so that they can be copied.
    for item in event.evidence:
        lines.append(f"  {evidence_word(item):<7} {here.state / str(item['path'])}")
    return [*lines, f"next: {to_type(f'why {event.id[:8]}')}"]
