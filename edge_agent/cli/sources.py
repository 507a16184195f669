"""`edge-agent sources`: what is configured, what is connected, does it deliver, a picture of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.options import (
    config_option,
    config_path,
    existing_config,
    find_place,
    json_option,
)
from edge_agent.errors import EdgeError, UsageError

if TYPE_CHECKING:
    from edge_agent.config.schema import Config

PICTURES = (".jpg", ".jpeg", ".png")
UNMASKED = "privacy masks belong to pipelines: this picture has none"


@click.group()
def command() -> None:
    """List the sources, look for others, test one, take a picture of one."""


@command.command("list")
@config_option
@json_option
def list_sources(config: Path | None, as_json: bool) -> None:
    """Name, kind and place of every source, and the pipelines that look at it."""
    from edge_agent.cli.render import table
    from edge_agent.config.load import load
    from edge_agent.policy.documents import dump

    loaded = load(existing_config(config))
    looked_at = {
        name: [key for key, pipeline in loaded.pipelines.items() if pipeline.source == name]
        for name in loaded.sources
    }
    if as_json:
        entries = [
            {"name": name, "kind": each.kind, "uri": each.uri, "pipelines": looked_at[name]}
            for name, each in loaded.sources.items()
        ]
        click.echo(dump({"schema": "sources/1", "sources": entries}))
        return
    rows = [
        (name, each.kind, each.uri, ", ".join(looked_at[name]) or "none")
        for name, each in loaded.sources.items()
    ]
    table(("name", "kind", "uri", "pipelines"), rows, fold="uri")


@command.command("scan")
@json_option
def scan(as_json: bool) -> None:
    """Cameras, IIO sensors and serial ports of this board. Nothing is opened."""
    from dataclasses import asdict

    from edge_agent.cli.render import say, table, wrapped
    from edge_agent.host.devices import connected
    from edge_agent.policy.documents import dump

    found = connected()
    if as_json:
        click.echo(dump({"schema": "source-scan/1", "devices": [asdict(each) for each in found]}))
        return
    if found:
        rows = [(each.kind, each.name, each.uri or "none", each.about) for each in found]
        table(("kind", "name", "uri", "about"), rows, fold="about")
    else:
        say("No camera, IIO sensor or serial port is connected to this board.")
    note = "Cameras on the network are not looked for: write their address, and test it."
    say("\n".join(["", *wrapped("", note)]))
    say("next: edge-agent sources test URI")


@command.command("test")
@click.argument("name")
@click.option("--seconds", type=click.FloatRange(0.5, 3600), default=10.0, help="How long. [10]")
@click.option(
    "--rate-hz", type=click.FloatRange(0, min_open=True),
    help="Samples a second of a signal that is named by its uri.",
)  # fmt: skip
@config_option
@json_option
def test(
    name: str, seconds: float, rate_hz: float | None, config: Path | None, as_json: bool
) -> int:
    """Watch source NAME, or what would stand behind `uri`: rate, jitter, size, light, sharpness.

    A signal comes in the windows of its configuration and of the model that looks at it.

    The exit code is 1 when it does not deliver.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service.input import source_of
    from edge_agent.service.named import source_config
    from edge_agent.service.probe import document, probe
    from edge_agent.service.signals import wanted_of_source
    from edge_agent.sources.signal import UnknownRate

    loaded = _loaded(name, config)
    meant, wanted = source_config(name, loaded, rate_hz), None
    configured = loaded is not None and name in loaded.sources
    if loaded is not None and configured:
        path = config_path(config)
        folder = find_place(None, config, lenient=True).state
        wanted = wanted_of_source(loaded, name, folder, path.absolute().parent)
    try:
        found = probe(source_of(name, meant, wanted), seconds)
    except UnknownRate as fault:
        if configured:
            raise
        line = f"edge-agent sources test {shlex.quote(name)} --rate-hz 1000"
        raise UnknownRate(fault.message, f"say it, as in: {line}") from None
    about = document(name, meant.kind, found)
    if as_json:
        click.echo(dump(about))
    elif found.times:
        click.echo(_words(about))
    if not found.delivers:
        told = found.losses[-1].next if found.losses else "look at what stands behind its uri"
        next_step = told or "edge-agent sources scan: is it connected?"
        reason = (found.reason or "").removeprefix(f"source {name}").removeprefix(":").strip()
        raise EdgeError(f"source {name} does not deliver: {reason}", next_step)
    return 0


@command.command("snapshot")
@click.argument("name")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The picture: .jpg or .png."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@config_option
@json_option
def snapshot(name: str, out: Path, force: bool, config: Path | None, as_json: bool) -> None:
    """A picture of source NAME to aim by, without any mask; the agent may be running."""
    from edge_agent.policy.documents import dump
    from edge_agent.service.draw import write_picture
    from edge_agent.service.input import source_of
    from edge_agent.service.named import source_config
    from edge_agent.service.probe import first_picture

    if out.suffix.lower() not in PICTURES:
        raise UsageError(f"{out} is no picture's name", f"end it with {', '.join(PICTURES)}")
    if out.exists() and not force:
        raise UsageError(f"{out} is there already", "choose another name, or --force")
    meant = source_config(name, _loaded(name, config))
    if meant.kind == "signal":
        given = () if config is None else ("-c", str(config))
        line = shlex.join(("edge-agent", "sources", "test", name, *given))
        raise UsageError(f"source {name} is a signal and has no picture", line)
    data = first_picture(source_of(name, meant)).data
    write_picture(out, data)
    height, width = data.shape[:2]
    if as_json:
        about = {"schema": "source-snapshot/1", "source": name, "file": str(out)}
        click.echo(dump({**about, "width": width, "height": height, "masked": False}))
    else:
        click.echo(f"{out}: {width}x{height} of {name}; {UNMASKED}")


def _loaded(name: str, given: Path | None) -> Config | None:
    """None where none is at hand and the source needs none."""
    from edge_agent.config.load import load
    from edge_agent.service.named import looks_direct

    if given is None and looks_direct(name) and not config_path(None).exists():
        return None
    return load(existing_config(given))


def _words(about: dict[str, Any]) -> str:
    """The whole test in at most 80 columns."""
    from edge_agent.cli.render import plural, wrapped

    lines = wrapped("", f"source {about['source']} ({about['kind']})")
    broken = plural(about["broken"], "broken item")
    losses = plural(about["losses"], "loss", "losses")
    watched = f"{about['watched_s']:.1f} s"
    lines += wrapped("  came    ", f"{about['items']} in {watched}, {broken}, {losses}")
    if about["opened_s"] is not None:
        lines.append(f"  opened  in {about['opened_s']:.1f} s")
    lines += _rhythm(about)
    lines += _look(about)
    lines += [f"  {word:<22}{count}" for word, count in about["notes"].items()]
    for each in about["advice"]:
        lines += wrapped("  next: ", each)
    return "\n".join(lines)


def _rhythm(about: dict[str, Any]) -> list[str]:
    if about["rate"] is None:
        return []
    stated = f" of {about['stated_rate']:.1f} stated" if about["stated_rate"] else ""
    lines = [
        f"  rate    {about['rate']:.2f} a second{stated}",
        f"  jitter  {about['jitter_ms']:.1f} ms (p95), longest gap {about['longest_gap_s']:.2f} s",
    ]
    if about["age_ms"] is not None:
        lines.append(f"  age     {about['age_ms']:.1f} ms from its grab to the agent")
    return lines


def _look(about: dict[str, Any]) -> list[str]:
    from edge_agent.cli.render import plural, wrapped

    look = about["look"]
    if look is None:
        return []
    sizes = [" x ".join(map(str, size)) for size in about["sizes"]]
    if "brightness" not in look:
        values = f"mean {look['mean']:.4g}, RMS {look['rms']:.4g}, peak {look['peak']:.4g}"
        length, channels = about["sizes"][0]
        shape = f"windows of {plural(length, 'sample')}, {plural(channels, 'channel')}"
        return [f"  size    {shape}", *wrapped("  values  ", values)]
    light = (
        f"brightness {look['brightness']:.0f} of 255, {look['shadows']:.1%} of it black, "
        f"{look['lights']:.1%} burnt out"
    )
    return [
        f"  size    {', then '.join(sizes)}",
        *wrapped("  light   ", light),
        f"  sharp   {look['sharpness']:.0f} (variance of the Laplacian at 640 wide)",
    ]
