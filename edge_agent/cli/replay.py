"""`edge-agent replay`: recorded input through the very same pipelines; also the batch mode.

Events go to stdout, everything else to stderr or to a file, so that the output can be piped.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_agent.cli.options import config_option, default_state, existing_config, state_option
from edge_agent.durable import whole
from edge_agent.errors import EdgeError, ReadOnly, UsageError, kind_of

if TYPE_CHECKING:
    from edge_agent.config.effective import Overlay
    from edge_agent.config.schema import Config
    from edge_agent.service.replay import Replayed, Wishes


#: A year of recording: far more than anybody replays at once.
LONGEST_INPUT_S = 366 * 86_400.0


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@config_option
@state_option
@click.option(
    "--as-run",
    is_flag=True,
    help="With the policies in charge and FILE.local.yaml, as the device runs it.",
)
@click.option("--pipeline", help="Only this one of the configuration's pipelines.")
@click.option("--start", metavar="TIME", help="When the input begins, RFC 3339. [1970-01-01]")
@click.option(
    "--speed",
    type=click.Choice(["max", "real"]),
    default="max",
    show_default=True,
    help="real: no faster than it was recorded.",
)
@click.option(
    "--engine",
    type=click.Choice(["litert", "tflite-runtime"]),
    help="Instead of the configuration's.",
)
@click.option("--threads", type=click.IntRange(1, 64), help="Instead of the configuration's.")
@click.option("--detections", type=click.Path(path_type=Path), help="detections/1 lines to FILE.")
@click.option("--report", type=click.Path(path_type=Path), help="run-report/1 to FILE.")
@click.option("--against", type=click.Path(path_type=Path), help="Compare with an earlier run.")
@click.option("--tolerance", type=float, metavar="S", help="--against: seconds that may differ.")
@click.option("--store", type=click.Path(path_type=Path), help="Keep events and evidence in DIR.")
def command(files: tuple[str, ...], **options: Any) -> int:
    """Run recorded FILEs (videos, pictures, .csv, .wav, folders) through the pipelines, in order.

    A damaged picture or a truncated video is named on stderr and counted as failed, the rest is
    read; the exit code is 1 where nothing of an input could be read.

    Prints one event/1 line per event, when it closes. The same input, configuration, model, engine
    and threads give the same bytes.
    """
    from edge_agent.config.effective import load_effective
    from edge_agent.service.batch import merged, replay_all
    from edge_agent.service.compare import difference, read_events

    began = time.perf_counter()
    if options["tolerance"] is not None and options["against"] is None:
        raise UsageError("--tolerance says how much may differ --against an earlier run")
    for name in ("detections", "report"):
        _must_be_writable(options[name])
    path = existing_config(options["config"])
    before = read_events(options["against"]) if options["against"] else None
    over = _over(path, options)
    wishes = _wishes(load_effective(path, over), path, options, over)
    _all_there(files)
    results: list[Replayed] = []
    events: list[str] = []
    with _output(options["detections"]) as detections, _progress(len(files)) as advance:
        for result in replay_all(files, path, wishes, advance):
            results.append(result)
            events += result.events
            _write(detections, result.detections)
            if before is None:
                click.echo("".join(f"{line}\n" for line in result.events), nl=False)
            for item in result.broken:
                which = f", item {item.index}" if item.counted else ""
                click.echo(f"edge-agent: {item.name}{which}: {item.reason}", err=True)
    _report(merged(results, time.perf_counter() - began), options["report"])
    if before is not None:
        diff = difference(before, events, options["tolerance"])
        click.echo("".join(f"{line}\n" for line in diff), nl=False)
        return 1 if diff or any(map(_nothing_read, results)) else 0
    return 1 if any(map(_nothing_read, results)) else 0


def _over(path: Path, options: dict[str, Any]) -> Overlay:
    """The same input and configuration give the same bytes: nothing else counts unless asked."""
    from edge_agent.config.effective import NOTHING
    from edge_agent.config.load import load
    from edge_agent.service.overlay import overlay

    if not options["as_run"]:
        return NOTHING
    return overlay(path, _state(load(path), options))


def _state(config: Config, options: dict[str, Any]) -> Path:
    stated = config.store.path
    return options["state"] or (Path(stated) if stated else default_state())


def _wishes(config: Config, path: Path, options: dict[str, Any], over: Overlay) -> Wishes:
    from edge_agent.service.assemble import Site
    from edge_agent.service.replay import Wishes

    state = _state(config, options)
    site = Site(
        state=state,
        beside=path.absolute().parent,
        engine=options["engine"],
        threads=options["threads"],
    )
    return Wishes(
        pipelines=_pipelines(config, options["pipeline"]),
        site=site,
        start=_moment(options["start"]),
        real_time=options["speed"] == "real",
        detections=options["detections"] is not None,
        store=options["store"],
        over=over,
    )


def _pipelines(config: Config, wanted: str | None) -> tuple[str, ...]:
    if wanted is None:
        return tuple(config.pipelines)
    if wanted not in config.pipelines:
        raise UsageError(
            f"the configuration has no pipeline {wanted!r}",
            f"it has: {', '.join(config.pipelines)}",
        )
    return (wanted,)


def _moment(text: str | None) -> float:
    from edge_agent.policy.documents import parse_rfc3339, rfc3339

    if text is None:
        return 0.0
    try:
        moment = parse_rfc3339(text)
        parse_rfc3339(rfc3339(moment + LONGEST_INPUT_S))  # the last frame has a date too
        return moment
    except (ValueError, OverflowError):
        raise UsageError(
            f"--start {text}: no date and time with a zone", "write 2026-01-31T08:00:00Z"
        ) from None


def _all_there(files: Iterable[str]) -> None:
    """Before the first frame of the first file: is the last one there?"""
    from edge_agent.sources.built_in import SCHEME
    from edge_agent.sources.images import is_pattern

    for name in files:
        if name.startswith(SCHEME) or is_pattern(name):
            continue
        if not Path(_place(name)).exists():
            raise UsageError(f"there is no file {name}", "check its name")


def _place(name: str) -> str:
    """The file itself, of one that is named with its kind: csv:FILE?columns=x."""
    from edge_agent.config.signal_uri import FILES, parse

    kind = name.partition(":")[0]
    return parse(name).place if kind in FILES and kind != name else name


def _nothing_read(result: Replayed) -> bool:
    frames = result.report["frames"]
    return bool(frames["captured"] == frames["failed"])


def _must_be_writable(path: Path | None) -> None:
    """Before hours of replay, not after: is there a folder for the file?"""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name a file in it")
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK):
        read_only = folder.is_dir() and os.statvfs(folder).f_flag & os.ST_RDONLY
        if read_only:
            raise ReadOnly(f"{path} is on a disk that can only be read", "name a file on another")
        raise EdgeError(f"{path} cannot be written", "name a file in a folder that is yours")


@contextmanager
def _output(path: Path | None) -> Iterator[Any]:
    """A file that is complete or not there."""
    if path is None:
        yield None
        return
    try:
        with whole(path) as draft, draft.open("w", encoding="utf-8") as file:
            yield file
    except BrokenPipeError:
        raise  # of stdout: the reader has gone
    except OSError as fault:
        reason = f"{path} cannot be written: {fault.strerror}"
        raise kind_of(fault)(reason, "name a file on another disk") from None


def _write(file: Any, lines: Iterable[str]) -> None:
    if file is not None:
        file.writelines(f"{line}\n" for line in lines)


def _report(report: dict[str, Any], path: Path | None) -> None:
    from edge_agent.policy.documents import dump

    line = dump(report)
    if path is None:
        click.echo(line, err=True)
        return
    with _output(path) as file:
        _write(file, [line])


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr for several inputs, where a person looks at it."""
    if count == 1 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    from edge_agent.cli.render import console

    with Progress(console=console(stderr=True)) as bar:
        task = bar.add_task("replay", total=count)
        yield lambda: bar.advance(task)
