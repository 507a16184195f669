"""`edge-agent outputs`: what events can switch on, and a try by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.names import complete_output
from edge_agent.cli.options import config_option, existing_config, json_option

if TYPE_CHECKING:
    from edge_agent.config.schema import CommandOutput, Config, GpioOutput


@click.group()
def command() -> None:
    """List the outputs of the configuration, switch one by hand."""


@command.command("list")
@config_option
@json_option
def list_outputs(config: Path | None, as_json: bool) -> None:
    """Name, kind and what every output switches, and the rules that switch it."""
    from edge_agent.cli.render import table
    from edge_agent.config.load import load
    from edge_agent.policy.documents import dump

    loaded = load(existing_config(config))
    rules = {name: _rules(loaded, name) for name in loaded.outputs}
    if as_json:
        entries = [
            {"name": name, "kind": each.kind, "switches": _switches(each), "rules": rules[name]}
            for name, each in loaded.outputs.items()
        ]
        click.echo(dump({"schema": "outputs/1", "outputs": entries}))
        return
    rows = [
        (name, each.kind, _switches(each), ", ".join(rules[name]) or "none")
        for name, each in loaded.outputs.items()
    ]
    table(("name", "kind", "switches", "rules"), rows, fold="switches")


@command.command("test")
@click.argument("name", shell_complete=complete_output)
@config_option
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=2.0,
    show_default=True,
    help="How long it is on.",
)
def test_output(name: str, config: Path | None, seconds: float) -> None:
    """Switch an output on, and off again; without any event, with or without the agent."""
    import time

    from edge_agent.config.load import load
    from edge_agent.config.wording import did_you_mean
    from edge_agent.errors import UsageError
    from edge_agent.service.outputs import switch_of

    outputs = load(existing_config(config)).outputs
    if name not in outputs:
        hint = did_you_mean(name, tuple(outputs))
        raise UsageError(f"there is no output {name!r}{hint}", "edge-agent outputs list")
    switch = switch_of(outputs[name])
    switch.open()
    switch.turn(True, {"EDGE_OUTPUT": name})
    try:
        click.echo(f"{name} is on for {seconds:g} s")
        time.sleep(seconds)
    finally:
        switch.turn(False, {"EDGE_OUTPUT": name})
        switch.close()
    click.echo(f"{name} is off")


def _switches(output: CommandOutput | GpioOutput) -> str:
    if output.kind == "command":
        return " ".join(output.argv)
    level = ", active low" if output.active_low else ""
    return f"line {output.line} of {output.chip}{level}"


def _rules(config: Config, name: str) -> list[str]:
    """The rules that name it, as PIPELINE/RULE."""
    from edge_agent.config.explain import pipeline_spec
    from edge_agent.pipeline.camera_events import RULE

    found = []
    for pipeline in config.pipelines:
        spec = pipeline_spec(config, pipeline)
        found += [f"{pipeline}/{rule.name}" for rule in spec.rules if rule.output == name]
        if spec.camera_events is not None and spec.camera_events.output == name:
            found.append(f"{pipeline}/{RULE}")
    return found
