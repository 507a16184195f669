"""`edge-agent check`: every mistake of a configuration at its line, or how fast its rules are."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.options import (
    config_option,
    default_state,
    existing_config,
    json_option,
    state_option,
)
from edge_agent.cli.render import duration, say, table, wrapped
from edge_agent.config.wording import printable
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.service.check import Report
    from edge_agent.service.check_speed import AlertTime


@click.command()
@config_option
@state_option
@json_option
def command(config: Path | None, state: Path | None, as_json: bool) -> None:
    """Validate a configuration; name every mistake, else each rule's worst time to alert."""
    from edge_agent.service.check import check

    report = check(existing_config(config), state, default_state())
    if as_json:
        say(json.dumps(document(report), ensure_ascii=False))
    else:
        say_faults(report)
    if report.mistakes:
        count = len(report.mistakes)
        mistakes = "1 mistake" if count == 1 else f"{count} mistakes"
        raise UsageError(
            f"{printable(str(report.file))} has {mistakes}", "correct the file and check it again"
        )
    if not as_json:
        say_times(report)


def document(report: Report) -> dict[str, Any]:
    """`check/1`."""
    from edge_agent.service.overlay import policies_document

    return {
        "schema": "check/1",
        "file": printable(str(report.file)),
        "ok": not report.mistakes,
        "mistakes": [asdict(mistake) for mistake in report.mistakes],
        "warnings": [asdict(warning) for warning in report.warnings],
        "alerts": [asdict(alert) for alert in report.alerts],
        "policies": policies_document(report.overlay),
        "overridden": [asdict(each) for each in report.overridden],
    }


def say_faults(report: Report) -> None:
    """One line each, on stderr: what `grep` and editors understand."""
    for mistake in report.mistakes:
        click.echo(str(mistake), err=True)
    for warning in report.warnings:
        click.echo(f"{warning} (a warning)", err=True)


def say_times(report: Report) -> None:
    say(f"{printable(str(report.file))}: no mistakes")
    say_overlay(report)
    for pipeline, alerts in groupby(report.alerts, key=lambda alert: alert.pipeline):
        rules = list(alerts)
        what = what_comes(report, pipeline)
        at = rate(rules[0], what)
        say(
            "\n".join(
                ["", *wrapped("", f"{pipeline}: worst time from what happens to its event {at}")]
            )
        )
        hot = f"hot, {rules[0].hot_fps:.4g}/s"  # by `thermal.min_fps`
        columns = ["rule", "priority", "worst time", hot]
        table(columns, [row(rule) for rule in rules], fold="rule")


def say_overlay(report: Report) -> None:
    """What lies over the file here: policies in charge, and what was set by hand."""
    from edge_agent.cli.status import overridden_words
    from edge_agent.service.overlay import policies_document

    for each in policies_document(report.overlay):
        for line in wrapped("policy   ", f"{each['name']} {each['version']} ({each['file']})"):
            say(line)
    for key in report.overridden:
        for line in wrapped("by hand  ", overridden_words(asdict(key))):
            say(line)


def row(alert: AlertTime) -> tuple[str, str, str, str]:
    worst = "depends on the source's rate" if alert.worst_s is None else duration(alert.worst_s)
    return alert.rule, alert.priority, worst, duration(alert.hot_worst_s)


def rate(alert: AlertTime, what: str) -> str:
    return f"with every {what}" if alert.fps is None else f"at {alert.fps:.4g} {what}s/s"


def what_comes(report: Report, pipeline: str) -> str:
    assert report.config is not None  # there are no mistakes
    source = report.config.sources[report.config.pipelines[pipeline].source]
    return "window" if source.kind == "signal" else "frame"
