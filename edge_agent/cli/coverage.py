"""`edge-agent coverage`: how long every rule watched, and why not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.names import complete_rule
from edge_agent.cli.options import config_option, json_option, place, state_option
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.policy.coverage import Stretch
    from edge_agent.service.moments import Zone
    from edge_agent.store.rows import CoverageRow

#: The newest times without a look that are told one by one.
TOLD = 10


@click.command()
@click.option("--rule", shell_complete=complete_rule, help="Only this one.")
@click.option("--since", default="24h", show_default=True, metavar="WHEN", help="As in events.")
@config_option
@state_option
@json_option
def command(
    rule: str | None, since: str, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Seconds watching, degraded and blind, with the causes; their sum is the time that passed.

    Works when the agent is down, too. The latest minute may not be written yet.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service.control import up_to_date
    from edge_agent.service.moments import moment, zone_of
    from edge_agent.store.query import open_reader

    here = place(state, config)
    zone = zone_of(here.timezone)
    begin = moment(since, time.time(), zone).time
    up_to_date(here.state)
    with open_reader(here.state) as reader:
        found = reader.coverage(begin)
    rules = dict(_by_rule(found, rule, begin))
    if rule is not None and not rules:
        known = ", ".join(sorted({row.rule for row in found if row.rule})) or "none"
        raise UsageError(f"rule {rule!r} has no coverage since {since}", f"those with: {known}")
    if as_json:
        documents = [_document(*key, stretches) for key, stretches in rules.items()]
        click.echo(dump({"schema": "coverage/1", "rules": documents}))
    elif rules:
        click.echo("\n".join(_lines(rules, zone)))
    else:
        click.echo(
            f"nothing is written since {since}: the agent did not run, or started a minute ago"
        )


def _by_rule(
    rows: Sequence[CoverageRow], rule: str | None, since: float
) -> Iterator[tuple[tuple[str, str], tuple[Stretch, ...]]]:
    from edge_agent.policy.coverage import within

    for key, group in itertools.groupby(rows, key=lambda row: row.key):
        stretches = within((row.stretch for row in group), since, float("inf"))
        if stretches and rule in (None, key[1]):
            yield key, stretches


def _document(pipeline: str, rule: str, stretches: Sequence[Stretch]) -> dict[str, Any]:
    from edge_agent.policy.coverage import coverage
    from edge_agent.policy.documents import rfc3339

    sums = coverage(stretches)
    return {
        "pipeline": pipeline,
        "rule": rule,
        "from": rfc3339(stretches[0].began),
        "to": rfc3339(stretches[-1].ended),
        "watching_s": round(sums.watching_s, 3),
        "degraded_s": {cause: round(seconds, 3) for cause, seconds in sums.degraded_s.items()},
        "blind_s": {cause: round(seconds, 3) for cause, seconds in sums.blind_s.items()},
        "stretches": [
            {
                "from": rfc3339(each.began),
                "to": rfc3339(each.ended),
                "seconds": round(each.seconds, 3),
                "state": each.attention.state.value,
                "cause": each.attention.cause.value,
            }
            for each in stretches
        ],
    }


def _lines(rules: dict[tuple[str, str], tuple[Stretch, ...]], zone: Zone) -> Iterator[str]:
    from edge_agent.cli.render import wrapped

    for (pipeline, rule), stretches in rules.items():
        yield from wrapped("", f"{rule} of pipeline {pipeline}" if rule else f"pipeline {pipeline}")
        yield from _sums(stretches, zone)
        yield from _gaps(stretches, zone)
        yield ""
    yield f"times in {zone.name}"


def _sums(stretches: Sequence[Stretch], zone: Zone) -> Iterator[str]:
    from edge_agent.cli.render import wrapped
    from edge_agent.policy.coverage import coverage
    from edge_agent.service.moments import duration, local

    sums = coverage(stretches)
    began, ended = local(stretches[0].began, zone), local(stretches[-1].ended, zone)
    yield f"  from {began} to {ended}"
    states = {
        "watching": {"": sums.watching_s},
        "degraded": sums.degraded_s,
        "blind": sums.blind_s,
    }
    for state, causes in states.items():
        seconds = sum(causes.values())
        share = f"{100 * seconds / sums.total_s:.1f} %"
        if 0 < seconds < sums.total_s and share in ("0.0 %", "100.0 %"):
            share = f"{'< 0.1' if share == '0.0 %' else '> 99.9'} %"  # nothing is rounded away
        why = ", ".join(
            f"{word(cause)} {duration(each)}" for cause, each in causes.items() if cause
        )
        yield from wrapped(f"  {state:9}{duration(seconds):>14}{share:>9}  ", why or " ")


def _gaps(stretches: Sequence[Stretch], zone: Zone) -> Iterator[str]:
    """The newest times in which nobody watched, as far as nobody wanted them."""
    from edge_agent.policy.coverage import Cause, State
    from edge_agent.service.moments import duration, local

    gaps = [
        each
        for each in stretches
        if each.attention.state is State.BLIND and each.attention.cause is not Cause.SCHEDULE
    ]
    for each in gaps[-TOLD:]:
        cause = word(each.attention.cause.value)
        yield f"  {local(each.began, zone)}  blind for {duration(each.seconds)}: {cause}"
    if len(gaps) > TOLD:
        yield f"  and {len(gaps) - TOLD} earlier ones: --json has all of them"


def word(cause: str) -> str:
    return cause.replace("_", " ")
