"""What the shell offers on TAB: event ids, rules, pipelines, models, schemas.

Never an error, never a word on stderr: an answer that cannot be given is an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_agent.cli.options import find_place
from edge_agent.errors import EdgeError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MOST = 50
#: Rules are those of so many newest events.
RECENT = 500


def complete_event(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The newest events, with what they say."""
    from click.shell_completion import CompletionItem

    from edge_agent.store.query import open_reader
    from edge_agent.store.rows import EventFilter

    try:
        with open_reader(_state(ctx)) as reader:
            found = reader.events(EventFilter(limit=MOST))
    except EdgeError:
        return []
    return [
        CompletionItem(stored.event.id, help=stored.event.text)
        for stored in found
        if stored.event.id.startswith(incomplete)
    ]


def complete_pipeline(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from edge_agent.store.query import open_reader

    try:
        with open_reader(_state(ctx)) as reader:
            names = reader.pipelines()
    except EdgeError:
        return []
    return _those(names, incomplete)


def complete_rule(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Rules that had an event lately."""
    from edge_agent.store.query import open_reader
    from edge_agent.store.rows import EventFilter

    try:
        with open_reader(_state(ctx)) as reader:
            found = reader.events(EventFilter(limit=RECENT))
    except EdgeError:
        return []
    return _those({stored.event.rule for stored in found}, incomplete)


def complete_schema(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from edge_agent.cli.schema import names

    return _those(names(), incomplete)


def complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from edge_agent.bundles.shipped import shipped_folders
    from edge_agent.bundles.slots import installed_names

    try:
        names = {*shipped_folders(), *installed_names(_state(ctx))}
    except EdgeError:
        return []
    return _those(names, incomplete)


def complete_policy(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from edge_agent.bundles.slots import POLICIES, installed_names

    try:
        return _those(installed_names(_state(ctx), POLICIES), incomplete)
    except EdgeError:
        return []


def complete_output(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from edge_agent.cli.options import config_path
    from edge_agent.config.load import read

    config = read(config_path(ctx.params.get("config"))).config
    return [] if config is None else _those(config.outputs, incomplete)


def _those(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _state(ctx: click.Context) -> Path:
    return find_place(ctx.params.get("state"), ctx.params.get("config")).state
