"""`edge-agent events erase`, for privacy requests: gone for good, and receivers are told."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from edge_agent.cli.names import complete_event
from edge_agent.cli.options import Place, config_option, json_option, place, state_option
from edge_agent.errors import UsageError


@click.command("erase")
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=complete_event)
@click.option("--pipeline", help="All of this pipeline.")
@click.option("--rule", help="All of this rule.")
@click.option("--since", metavar="WHEN", help="All that opened since then.")
@click.option("--until", metavar="WHEN", help="Only what opened before then.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@state_option
@json_option
def erase_events(
    ids: tuple[str, ...],
    yes: bool,
    config: Path | None,
    state: Path | None,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Erase closed events with their messages and pictures, for good; receivers are told.

    Name events by their ids, or say which: --since 2026-01-31 --until 2026-02-01.
    """
    from edge_agent.cli.render import plural
    from edge_agent.policy.documents import dump
    from edge_agent.service.cases import forget_events
    from edge_agent.service.control import up_to_date
    from edge_agent.store.erase import erase
    from edge_agent.store.query import open_reader
    from edge_agent.store.record import open_store

    here = place(state, config)
    asked = {key: value for key, value in wanted.items() if value is not None}
    if bool(ids) == bool(asked):
        raise UsageError("say what to erase", "name event ids, or --since, --rule, --pipeline")
    with open_reader(here.state) as reader:
        found = [reader.event(prefix).event for prefix in ids] or [
            stored.event for stored in reader.events(_filter(asked, here))
        ]
    closed = sorted({event.id for event in found if event.closed is not None or ids})
    if closed and not yes:
        _confirm(f"erase {plural(len(closed), 'event')} for good?")
    up_to_date(here.state)
    with open_store(here.state) as store:
        done = erase(store, closed, time.time())
    pinned = forget_events(here.state, closed)
    if as_json:
        document = {"schema": "erase/1", "events": closed, "messages": done.messages}
        click.echo(dump({**document, "files": done.files, "lost_seq": done.lost_seq}))
        return
    click.echo(
        f"erased: {plural(done.events, 'event')}, {plural(done.messages, 'message')},"
        f" {plural(done.files, 'file')}"
    )
    if done.lost_seq is not None:
        click.echo(f"receivers are told by message {done.lost_seq}")
    if pinned:
        click.echo(f"and {plural(pinned, 'pinned case')} of them")
    if left := len(found) - len(closed):
        click.echo(f"left alone: {plural(left, 'open event')}; erase them when they have closed")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask", "say --yes to erase without a question")
    click.confirm(question, abort=True, err=True)


def _filter(asked: dict[str, Any], here: Place) -> Any:
    from edge_agent.service.moments import moment, zone_of
    from edge_agent.store.rows import EventFilter

    zone, now = zone_of(here.timezone), time.time()
    times: dict[str, Any] = {
        key: moment(asked.pop(key), now, zone).time for key in ("since", "until") if key in asked
    }
    return EventFilter(**asked, **times, limit=None)
