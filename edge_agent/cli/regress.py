"""`edge-agent regress`: the pinned cases of this site against another configuration or model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_agent.cli.names import complete_model
from edge_agent.cli.options import config_option, json_option, state_option


@click.command()
@config_option
@click.option("--model", shell_complete=complete_model, help="Instead of the one of its name.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    help="A policy's file, instead of the one of its name.",
)
@click.option("--list", "only_list", is_flag=True, help="Which cases are pinned; nothing is run.")
@state_option
@json_option
def command(
    config: Path | None, model: str | None, only_list: bool, state: Path | None, **wish: Any
) -> None:
    """Replay every pinned case; exit 4 when an alarm is lost or a new one comes.

    Cases are pinned with `edge-agent events pin`. -c names the configuration to try, with
    the policies in charge here and what was set by hand over it; --model a bundle to try in the
    pipelines whose model has the same name, --policy a policy.
    """
    from edge_agent.cli.pin import place_of
    from edge_agent.policy.documents import dump
    from edge_agent.service.cases import cases
    from edge_agent.service.regress import (
        Candidate,
        document,
        models_for,
        regress,
        speaks_against,
    )

    as_json = wish["as_json"]
    loaded, site = place_of(config, state, wish["policy"])
    found = cases(site.state)
    if only_list:
        for case in found:
            alarms = ", ".join(alarm.text for alarm in case.expected.alarms) or "nothing"
            click.echo(f"{case.name}  {case.pipeline}: {alarms}{case.note and f'  ({case.note})'}")
        return
    models = models_for(loaded, model, site) if model is not None else {}
    concerned = tuple(case for case in found if model is None or case.pipeline in models)
    tried = regress(concerned, Candidate(loaded, site, models))
    if as_json:
        click.echo(dump(document(tried)))
    for each in () if as_json else tried:
        click.echo(f"{'ok     ' if each.passed else 'REFUSED'}  {each.case.name}: {each.words}")
        for alarm in each.verdict.mended:
            click.echo(f"         no longer raised wrongly: {alarm.text}")
    if not tried and not as_json:
        click.echo("no case is pinned; next: edge-agent events pin ID")
    if failed := [each for each in tried if not each.passed]:
        raise speaks_against(failed, len(tried))
