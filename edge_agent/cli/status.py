"""`edge-agent status`: is it well? From the running agent, or from its database when it is down."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from edge_agent.cli.options import config_option, json_option, state_directory, state_option
from edge_agent.errors import EdgeError, NotRunning, UsageError

#: For monitors: `--check` ends with these.
CODES = {"well": 0, "degraded": 1, "down": 2}
WATCH_S = 2.0
WORDS = {"well": "All is well.", "degraded": "It works, but:", "down": "Nobody is watching:"}
CLOCKS = {
    "synced": "kept by a time server",
    "unsynced": "no time server heard: times may be wrong, schedules count as open",
    "corrected": "was wrong at the start, a time server has put it right",
}


@click.command()
@config_option
@state_option
@json_option
@click.option("--watch", is_flag=True, help="Again every two seconds, until ctrl-C.")
@click.option(
    "--check", is_flag=True, help="For monitors: one line; exit 0 well, 1 degraded, 2 down."
)
def command(
    config: Path | None, state: Path | None, as_json: bool, watch: bool, check: bool
) -> int:
    """Say in words whether it is well, then what it is doing."""
    if watch and check:
        raise UsageError("--watch never ends, so --check has no answer", "say one of them")
    folder = state_directory(state, config)
    if check and not as_json:
        verdict, line = judged(folder)
        click.echo(line)
        return CODES[verdict]
    while True:
        try:
            status = find_status(folder)
        except EdgeError as fault:
            fault.exit_code = CODES["down"] if check else fault.exit_code
            raise
        if watch and not as_json:
            click.clear()  # does nothing where no terminal is
        click.echo(json.dumps(status, ensure_ascii=False) if as_json else words(status))
        if not watch:
            return CODES[status["verdict"]] if check else 0
        time.sleep(WATCH_S)


def find_status(folder: Path) -> dict[str, Any]:
    """From the control socket, else from the database. Raises UsageError when there is neither."""
    from edge_agent.service.control import ask

    try:
        return ask(folder, "status")
    except NotRunning as silence:
        from edge_agent.service.status import stored_status
        from edge_agent.store.query import open_reader

        with open_reader(folder) as reader:
            return stored_status(reader.last_status(), time.time(), silence)


def judged(folder: Path) -> tuple[str, str]:
    """What a monitor shows: the verdict, and one line with every reason.

    Where nothing can be learned it is down: 1 would tell a monitor that it works.
    """
    from edge_agent.config.wording import printable

    try:
        status = find_status(folder)
    except EdgeError as fault:
        return "down", f"down: {printable(fault.in_one_line)}"
    reasons = "; ".join(printable(reason["message"]) for reason in status["reasons"])
    return status["verdict"], f"{status['verdict']}: {reasons or _at_work(status)}"


def _at_work(status: dict[str, Any]) -> str:
    from edge_agent.cli.render import plural

    sources, pipelines = len(status["sources"]), len(status["pipelines"])
    return f"{plural(sources, 'source')}, {plural(pipelines, 'pipeline')}"


def words(status: dict[str, Any]) -> str:
    """The whole status in at most 80 columns."""
    from edge_agent.cli.render import wrapped

    lines = [WORDS[status["verdict"]]]
    for reason in status["reasons"]:
        lines += wrapped("  - ", reason["message"])
        lines += wrapped("    next: ", reason["next"])
    if not status["running"]:
        lines += ["", "What follows is from its database, as of its last write."]
    for name, source in status["sources"].items():
        lines += ["", *wrapped("source ", name), *_source(source)]
    for name, pipeline in status["pipelines"].items():
        lines += ["", *wrapped("pipeline ", name), *_pipeline(pipeline)]
    return "\n".join([*lines, "", *_rest(status), *_ota(status["ota"])])


def _ota(ota: dict[str, Any] | None) -> list[str]:
    """Nothing where models and policies are only in charge, and nobody looks for others; `ota
    status` tells it of an agent that is down."""
    if ota is None:
        return []
    from edge_agent.cli.render import wrapped
    from edge_agent.service.outlook import lines as told

    found = []
    if ota["repository"] is not None:
        checked = f"checked {ota['checked']}" if ota["checked"] else "not checked yet"
        held = "; held: nothing takes charge by itself" if ota["hold"] else ""
        found += wrapped("updates   ", f"{ota['repository']}, {checked}{held}")
        if ota["failure"] is not None:
            good = ota["good"] or "never"
            found += wrapped("          ", f"failed: {ota['failure']['message']}; last good {good}")
    for head, kind in (("model", "models"), ("policy", "policies")):
        for name, each in ota[kind].items():
            for line in told(name, each):
                found += wrapped(f"{head:10}", line)
    return found


def _source(source: dict[str, Any]) -> list[str]:
    from edge_agent.cli.render import plural, wrapped

    frames = f"{plural(source['frames'], 'frame')}, {source['failed']} broken"
    lost = f", lost {plural(source['losses'], 'time')}" if source["losses"] else ""
    notes = [f"{count} {word.replace('_', ' ')}" for word, count in source["notes"].items()]
    return wrapped("  ", f"{source['state']}: {', '.join([frames, *notes])}{lost}")


def _pipeline(pipeline: dict[str, Any]) -> list[str]:
    from edge_agent.cli.render import account, plural, wrapped
    from edge_agent.types import Ledger

    lines = []
    if pipeline["model"]:
        lines += wrapped("  model   ", f"{pipeline['model']} on {pipeline['engine']}")
        lines += wrapped("          ", pipeline["chosen"])
        speed = f"{pipeline['fps']:.1f} inferred frames/s, {pipeline['invoke_ms']:.2f} ms each"
        lines.append(f"  rate    {speed}")
    held = pipeline["point"]
    if held and held["max_fps"] is not None:
        limit = f"at most {held['max_fps']:.3g} inferred frames/s ({held['reason']})"
        lines += wrapped("  heat    ", limit)
    if held and held["threads"] is not None:
        lines += wrapped("  heat    ", f"the model runs on one thread ({held['reason']})")
    lines += wrapped("  ledger  ", account(Ledger(**pipeline["ledger"])))
    return [*lines, f"  events  {plural(pipeline['open_events'], 'is', 'are')} open"]


def _heat(thermal: dict[str, Any] | None, celsius: float | None) -> list[str]:
    from edge_agent.cli.render import wrapped

    if thermal is None:
        return []
    if celsius is not None:
        text = f"{celsius:.1f} °C ({thermal['sensor']}), {thermal['target_c']:g} °C are allowed"
    elif thermal["slowness"] is not None:
        text = f"no sensor to go by; an inference takes {thermal['slowness']:.1f} x its best time"
    else:
        text = "no sensor to go by"
    level = f"; heat level {thermal['level']} of 10" if thermal["level"] else ""
    return wrapped("heat      ", f"{text}{level}")


def overridden_words(each: dict[str, Any]) -> str:
    """A key that was set by hand on this device."""
    instead = "nothing stands below"
    if each["instead_of"] is not None:
        instead = f"instead of {each['instead_of']} ({each['instead_at']})"
    return f"{each['path']}: {each['value']} ({each['at']}) {instead}"


def _rest(status: dict[str, Any]) -> list[str]:
    from edge_agent.cli.render import plural, wrapped

    lines = [f"queue     {plural(status['queue']['depth'], 'message waits', 'messages wait')}"]
    lines += _heat(status["thermal"], status["temperature_c"])
    for policy in status["policies"]:
        lines += wrapped("policy    ", f"{policy['name']} {policy['version']}")
    for each in status["overridden"]:
        lines += wrapped("by hand   ", overridden_words(each))
    for name, output in status["outputs"].items():
        state = {True: "on", False: "off", None: "unknown, the last change failed"}[output["on"]]
        lines += wrapped("output    ", f"{name} ({output['kind']}): {state}")
    broker = status["broker"]
    if broker is not None:
        reached = "connected" if broker["connected"] else "not connected"
        lines += wrapped("broker    ", f"{broker['broker']}, {reached}")
        if broker["budget"] is not None:
            sent, day = broker["budget"]["sent_mb"], broker["budget"]["mb_per_day"]
            lines.append(f"budget    {sent:.3g} of {day:g} MB by MQTT in the last 24 hours")
    elif status["running"]:
        lines.append("broker    none is configured: nothing leaves the device")
    if status["written_mb_per_day"] is not None:
        lines.append(f"disk      {status['written_mb_per_day']:.1f} MB written a day")
    if status["clock"]:
        lines += wrapped("clock     ", CLOCKS[status["clock"]])
    return lines
