"""`edge-agent bench`: what the whole pipeline costs on this board."""

from __future__ import annotations

from pathlib import Path

import click

from edge_agent.cli.names import complete_model
from edge_agent.cli.options import config_option, json_option, state_directory, state_option
from edge_agent.errors import UsageError


@click.command()
@click.option(
    "--model",
    default="scene-detector",
    show_default=True,
    shell_complete=complete_model,
    help="What to run.",
)
@click.option("--video", help="A recording to infer. [the built-in scene or machine]")
@click.option(
    "--seconds", type=click.FloatRange(1, 3600), default=10.0, show_default=True, help="In all."
)
@config_option
@state_option
@json_option
def command(
    model: str, video: str | None, seconds: float, config: Path | None, **rest: object
) -> None:
    """Frames a second of the whole pipeline, of reading alone, and of the bare model.

    Every frame is inferred. The last line is the run report.
    """
    from edge_agent.cli.render import table
    from edge_agent.policy.documents import dump
    from edge_agent.service.bench import bench
    from edge_agent.sources.built_in import SCHEME

    if video is not None and not video.startswith(SCHEME) and not Path(video).exists():
        raise UsageError(f"there is no file {video}")
    state = rest["state"] if isinstance(rest["state"], Path) else None
    found = bench(model, video, seconds, state_directory(state, config))
    if not rest["as_json"]:
        rows = [
            ("reading", found.reading),
            ("bare invoke", found.invoke),
            ("whole pipeline", found.pipeline),
        ]
        table(
            ("what", "frames/s", "ms a frame", "CPU ms a frame"),
            [
                (name, f"{pace.fps:.0f}", f"{1000 / pace.fps:.2f}", f"{pace.cpu_ms:.2f}")
                for name, pace in rows
            ],
        )
        click.echo(f"efficiency {found.efficiency:.2f} (pipeline / bare invoke, every frame)")
    click.echo(dump(found.report))
