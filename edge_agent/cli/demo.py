"""`edge-agent demo`: the main job with nothing but the package, and what a newcomer makes of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edge_agent.service.demo import Shown

FAULTS = {
    "bearing": "its bearing has a flaw",
    "imbalance": "its shaft loses its balance",
    "looseness": "its foot works loose",
}


@click.command()
@click.option(
    "--seconds",
    type=click.IntRange(5, 3600),
    default=80,
    show_default=True,
    help="How many seconds of the yard to watch (as fast as the machine can).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-out"),
    show_default=True,
    help="Where picture, configuration and database go.",
)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Which day.")
def command(seconds: int, out: Path, seed: int) -> None:
    """Watch a built-in loading yard and listen to a machine that wears out, with the two shipped
    models, and say what came of it.

    Everything is real: the int8 models, the gate, tracker and rules, the database, and the buffer
    in which alerts wait for a broker.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service.demo import show

    shown = show(out, seconds, seed)
    click.echo("\n".join(_summary(shown, seconds, out)))
    click.echo(dump(shown.report))


def _summary(shown: Shown, seconds: int, out: Path) -> list[str]:
    from edge_agent.cli.render import account, counts, wrapped
    from edge_agent.service.demo import MOTOR, NIGHT_H, YARD
    from edge_agent.types import Ledger

    report, program = shown.report, _program()
    yard, motor = (report["pipelines"][name] for name in (YARD, MOTOR))
    return [
        f"Watched {seconds} s of a loading yard by day and by night, and listened to a motor for",
        f"{NIGHT_H} h, its whole life, in {report['wall_s']:.1f} s.",
        "",
        f"Seen     {counts(shown.objects)}",
        *wrapped("Frames   ", account(Ledger(**yard["frames"]))),
        *wrapped("Heard    ", _heard(shown)),
        *wrapped("Windows  ", account(Ledger(**motor["frames"]))),
        f"Events   {counts(shown.events)}",
        *(f"         {line}" for line in shown.lines),
        f"Models   {yard['model']} on {yard['engine']}, {_invoke(yard)}",
        f"         {motor['model']} on {motor['engine']}, {_invoke(motor)}",
        f"Buffer   {shown.waiting} messages wait for a broker, none is lost",
        "",
        f"Picture  {shown.picture or 'no frame had anything in it'}",
        f"Config   {out / 'config.yaml'}",
        f"Database {out / 'state' / 'edge.db'}",
        "",
        f"Look at it:  {program} events list --state {out / 'state'}",
        f"Why?         {program} why {shown.best or 'EVENT'} --state {out / 'state'}",
        "",
    ]


def _heard(shown: Shown) -> str:
    """How the machine fared, and how much time the report left."""
    from edge_agent.policy.documents import rfc3339

    worn, reported = shown.worn, shown.reported
    began, fails = (rfc3339(moment)[11:16] for moment in (worn.began, worn.fails))
    fate = f"{FAULTS[worn.fault]} from {began} on, and fails at {fails}"
    if reported is None:
        return f"{fate}: it was not reported"
    early = (worn.fails - reported) / 3600
    return f"{fate}: reported at {rfc3339(reported)[11:16]}, {early:.1f} h before"


def _program() -> str:
    """How this very program is called from here: a virtual environment is seldom on the PATH."""
    if shutil.which("edge-agent"):
        return "edge-agent"
    called = Path(sys.argv[0]).absolute()
    here = Path.cwd()
    return str(called.relative_to(here) if called.is_relative_to(here) else called)


def _invoke(report: dict[str, Any]) -> str:
    timing = report["latency_ms"]["invoke"]
    return "never invoked" if timing is None else f"{timing['p50']:.2f} ms an inference"
