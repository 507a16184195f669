"""`edge-agent models`: bring a model in, try it, measure it, put it in charge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.infer import say_guesses
from edge_agent.cli.models_charge import activate, hold, release, rollback, say_entries
from edge_agent.cli.models_eval import evaluate
from edge_agent.cli.names import complete_model
from edge_agent.cli.options import (
    config_option,
    family_option,
    json_option,
    place,
    state_directory,
    state_option,
    to_type,
)
from edge_agent.errors import EdgeError, Refused, UsageError

if TYPE_CHECKING:
    from edge_agent.bundles.bundle import Bundle
    from edge_agent.engines import EngineName
    from edge_agent.engines.measure import Measurement
    from edge_agent.service.inventory import Entry


@click.group()
def command() -> None:
    """Import, list, show, test, measure, judge, activate, hold and remove models."""


for each in (evaluate, activate, rollback, hold, release):
    command.add_command(each)


@command.command("list")
@config_option
@state_option
@json_option
@click.option("--history", is_flag=True, help="What was done with them, by whom, the newest first.")
def list_models(config: Path | None, state: Path | None, as_json: bool, history: bool) -> None:
    """Every model: active, previous, factory (shipped, replaced), candidate, broken.

    Below the table: when each was installed and took charge, and who is on probation.
    """
    from edge_agent.cli.models_history import say_history, say_lives
    from edge_agent.cli.render import table
    from edge_agent.service.inventory import inventory

    here = place(state, config)
    if history:
        say_history(here, as_json)
        return
    entries = inventory(here.state)
    if as_json:
        say_entries(entries)
        return
    rows = [
        (entry.name, entry.version, entry.state, entry.sha256[:8], _size(entry), _speed(entry))
        for entry in entries
    ]
    table(("name", "version", "state", "sha256", "input", "measured"), rows, fold="name")
    say_lives(entries, here)


@command.command()
@click.argument("name", shell_complete=complete_model)
@config_option
@state_option
@json_option
def show(name: str, config: Path | None, state: Path | None, as_json: bool) -> None:
    """What the active version of a bundle says of itself: manifest, labels, folder.

    Below: how its candidate, a version that waits, did in the shadow beside it.
    """
    from edge_agent.bundles.find import find
    from edge_agent.policy.documents import dump
    from edge_agent.service.verdicts import shadow_of

    folder = state_directory(state, config)
    bundle = find(name, folder, Path())
    document, report = _shown(bundle), shadow_of(folder, bundle.name)
    if as_json:
        click.echo(dump({"schema": "model/1", **document, "shadow": report}))
        return
    from edge_agent.cli.render import table, wrapped
    from edge_agent.cli.shadow_report import sentences

    few = ", ".join(bundle.labels[:8]) + (", ..." if len(bundle.labels) > 8 else "")
    unnamed = _UNNAMED.get(bundle.manifest.family, "the label is the index")
    labels = f"{len(bundle.labels)}: {few}" if bundle.labels else f"none: {unnamed}"
    rows = [
        (key, labels if key == "labels" else _plain(value))
        for key, value in document.items()
        if value not in (None, "", {})
    ]
    table(("key", "value"), rows, fold="value")
    for sentence in () if report is None else sentences(report):
        click.echo("\n".join(wrapped("its candidate in the shadow: ", sentence)))


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What to call it. [the file's name]")
@family_option
@click.option("--labels", type=click.Path(path_type=Path), help="A label file. [the model's own]")
@config_option
@state_option
@json_option
def import_file(
    file: Path, config: Path | None, state: Path | None, as_json: bool, **said: Any
) -> None:
    """Turn FILE (a bare .tflite, a bundle's folder or .tar) into an installed bundle.

    It is loaded, run and decoded in a child process first; what fails there is refused.
    """
    from edge_agent.cli.infer import wish
    from edge_agent.cli.render import plural
    from edge_agent.service.install import import_model
    from edge_agent.service.inventory import entry_of
    from edge_agent.service.story import told_from_outside

    folder = state_directory(state, config)
    with told_from_outside(folder) as tell:
        done = import_model(file, wish(said), folder, tell)
    entry = entry_of(done.bundle.name, done.slot, folder)
    if as_json:
        say_entries((entry,))
        return
    what = "imported" if done.fresh else "is here already, nothing was changed:"
    labels = plural(entry.labels, "label")
    click.echo(f"{what} {entry.name} {entry.version} ({entry.family}, {labels})")
    say_guesses(done.guessed)
    for refusal in done.refusals:
        click.echo(f"but: {refusal}")
    if done.active:
        given = "PICTURE" if entry.window is None else "RECORDING"
        click.echo(f"next: {to_type(f'infer {entry.name} {given}')}")
    else:
        words = f"models activate {entry.name} {entry.version}"
        click.echo(f"next: {to_type(words)}")


@command.command()
@click.argument("name", shell_complete=complete_model)
@click.option("--engine", help="Only this one. [every engine that is installed]")
@config_option
@state_option
@json_option
def test(
    name: str, engine: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Run a bundle's golden set on every engine of this board; exit 1 where an answer differs."""
    from edge_agent.bundles.find import find
    from edge_agent.policy.documents import dump

    folder = state_directory(state, config)
    bundle = find(name, folder, Path())
    tested = [_tested(bundle, each, folder) for each in _engines(engine)]
    if as_json:
        click.echo(dump({"schema": "model-test/1", "model": bundle.name, "engines": tested}))
    for each in () if as_json else tested:
        verdict = (
            f"{len(each['differences'])} differences" if each["differences"] else "as recorded"
        )
        click.echo(f"{each['engine']}: {each['refused'] or verdict}")
        for difference in each["differences"]:
            click.echo(f"  {difference}")
    if any(each["differences"] for each in tested):
        raise EdgeError(
            f"model {bundle.name} answers otherwise than its golden set",
            "do not rely on it here; import it again, or take another engine",
        )
    if all(each["refused"] for each in tested):
        raise Refused(tested[0]["refused"], "choose another model, or another engine")


@command.command()
@click.argument("name", shell_complete=complete_model)
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=10.0, show_default=True)
@config_option
@state_option
@json_option
def bench(
    name: str, seconds: float, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Measure every engine and thread count on this board, and keep the answer for `auto`."""
    from dataclasses import asdict

    from edge_agent.bundles.find import find
    from edge_agent.policy.documents import dump
    from edge_agent.service.install import measure_model

    folder = state_directory(state, config)
    bundle = find(name, folder, Path())
    found = measure_model(bundle, seconds, folder)
    if as_json:
        click.echo(dump({"schema": "model-bench/1", "model": bundle.name, **asdict(found)}))
        return
    _say_times(found.measurements)
    click.echo(found.choice)
    if found.over is not None:
        click.echo(found.over)


@command.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("version", required=False)
@config_option
@state_option
@json_option
def remove(
    name: str, version: str | None, config: Path | None, state: Path | None, as_json: bool
) -> None:
    """Remove an installed model, or only a VERSION of it that is not active.

    A broken version that is removed is forgotten: it may be imported anew.
    """
    from edge_agent.service.install import remove_model
    from edge_agent.service.inventory import inventory
    from edge_agent.service.story import told_from_outside

    folder = state_directory(state, config)
    with told_from_outside(folder) as tell:
        was_active = remove_model(name, version, folder, tell)
    left = tuple(entry for entry in inventory(folder) if entry.name == name)
    if as_json:
        say_entries(left)
        return
    click.echo(f"removed {' '.join(filter(None, [name, version]))}")
    if was_active:
        now = "the shipped one is active again" if left else "pipelines that name it cannot start"
        click.echo(f"it was active: {now}")


# --- below: one engine's test ------------------------------------------------------------------


def _engines(wanted: str | None) -> list[EngineName]:
    from edge_agent.engines import available

    found = [each for each in available() if wanted in (None, each)]
    if not found:
        raise UsageError(
            f"the engine {wanted} is not installed", f"one of: {', '.join(available())}"
        )
    return found


def _tested(bundle: Bundle, engine: EngineName, state: Path) -> dict[str, Any]:
    from edge_agent.engines import Plan
    from edge_agent.service.install import check_golden
    from edge_agent.service.models import open_model

    tested: dict[str, Any] = {"engine": engine, "refused": None, "differences": []}
    try:
        opened = open_model(bundle, Plan(engine), state)
    except Refused as refusal:
        return {**tested, "refused": refusal.message}
    return {**tested, "differences": list(check_golden(opened))}


# --- below: words ------------------------------------------------------------------------------

#: What a finding is called where a model of these families has no labels.
_UNNAMED = {
    "anomaly": "its one finding is called anomaly",
    "generic": "a finding is called as its output is",
    "pose": "the 17 key points of COCO",
}
#: So many of a list are shown.
_FEW = 16


def _shown(bundle: Bundle) -> dict[str, Any]:
    from edge_agent.config.part import plain

    manifest = plain(bundle.manifest, nulls=False)
    return {
        **manifest,
        "labels": list(bundle.labels),
        "guessed": dict(bundle.guessed),
        "folder": str(bundle.folder),
    }


def _say_times(measurements: tuple[Measurement, ...]) -> None:
    from edge_agent.cli.render import table

    ran = [each for each in measurements if each.p50_ms is not None and each.p95_ms is not None]
    table(
        ("engine", "threads", "p50", "p95"),
        [
            (each.engine, str(each.threads), f"{each.p50_ms:.3f} ms", f"{each.p95_ms:.3f} ms")
            for each in ran
        ],
    )
    for sentence in dict.fromkeys(each.refused for each in measurements if each.refused):
        click.echo(f"but: {sentence}")


def _size(entry: Entry) -> str:
    from edge_agent.cli.render import plural

    if entry.window is not None:
        return plural(entry.window, "sample")
    return "" if entry.size is None else f"{entry.size[0]}x{entry.size[1]}"


def _speed(entry: Entry) -> str:
    if entry.invoke_ms is None:
        return ""
    return f"{entry.invoke_ms:.2f} ms, {entry.engine} x{entry.threads}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        parts = [f"{key} {_plain(each)}" for key, each in value.items() if each not in ("", [])]
        return ", ".join(parts)
    if isinstance(value, list):
        few = " ".join(_plain(each) for each in value[:_FEW])
        return few if len(value) <= _FEW else f"{few} ... ({len(value)} in all)"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
