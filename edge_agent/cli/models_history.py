"""What `models list` says below its table, and with `--history`: times, probations, the audit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edge_agent.cli.options import Place
    from edge_agent.service.inventory import Entry
    from edge_agent.service.moments import Zone
    from edge_agent.store.audit import Told

#: Steps that are shown of all that is kept.
SHOWN = 50


def say_lives(entries: tuple[Entry, ...], here: Place) -> None:
    """A line for each that was installed, or that something is to be said of."""
    from edge_agent.cli.render import wrapped
    from edge_agent.service.moments import zone_of

    zone = zone_of(here.timezone)
    for entry in entries:
        words = "; ".join(_life(entry, zone))
        if words:
            click.echo("\n".join(wrapped(f"{entry.name} {entry.version}: ", words)))


def say_history(here: Place, as_json: bool) -> None:
    """The newest steps first, as the audit has them."""
    from edge_agent.cli.render import wrapped
    from edge_agent.errors import UsageError
    from edge_agent.policy.documents import dump
    from edge_agent.service.moments import local, zone_of
    from edge_agent.store.query import open_reader

    try:
        with open_reader(here.state) as reader:
            steps = reader.history(limit=SHOWN)
    except UsageError:
        steps = ()  # no store yet: nothing was done
    if as_json:
        click.echo(dump({"schema": "audit/1", "steps": [_document(each) for each in steps]}))
        return
    zone = zone_of(here.timezone)
    for told in steps:
        head = f"{local(told.time, zone)}  "
        click.echo("\n".join(wrapped(head, _sentence(told))))
    if not steps:
        click.echo("nothing was done with models here")


def _life(entry: Entry, zone: Zone) -> Iterator[str]:
    from edge_agent.bundles.folders import version_of
    from edge_agent.cli.render import plural
    from edge_agent.service.moments import local

    if entry.installed is not None:
        yield f"installed {local(entry.installed, zone)}"
    if entry.activated is not None:
        times = plural(entry.activations, "time")
        yield f"took charge {local(entry.activated, zone)} ({times})"
    if entry.probation is not None:
        terms = entry.probation.terms
        yield (
            f"on probation for {terms.minutes:g} minutes and {terms.frames} frames, then "
            f"committed, or back to {version_of(entry.probation.before)}"
        )
    if entry.held is not None:
        yield f"held at {entry.held}"
    if entry.broken is not None:
        yield f"not used: {entry.broken}"


def _sentence(told: Told) -> str:
    step = told.step
    words = f"{step.kind} {step.name} {step.target.version} {step.step.replace('_', ' ')}"
    if step.before is not None and step.before.version != step.target.version:
        joined = "instead of" if step.step == "swapped" else "in charge:"
        words += f", {joined} {step.before.version}"
    if step.verdict.value != "ok":
        words += f" ({step.verdict.value})"
    order = f" {step.order.rollout}" if step.order is not None else ""
    words += f", by {step.who}{order}"
    return f"{words}: {step.reason}" if step.reason else words


def _document(told: Told) -> dict[str, Any]:
    from edge_agent.policy.documents import rfc3339
    from edge_agent.policy.ota import report

    return {
        "time": rfc3339(told.time),
        "boot": told.boot,
        "who": told.step.who,
        **report(told.step),
    }
