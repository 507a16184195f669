"""The options that many commands share, and where the state and the configuration lie.

State: `--state`, then the configuration's `store.path`, EDGE_AGENT_STATE, STATE_DIRECTORY (which
systemd sets), ~/.local/state/edge-agent. Configuration: `-c`, EDGE_AGENT_CONFIG,
/etc/edge-agent/config.yaml.

Rule: a configuration that somebody names with `-c` must be right. What is wrong with the one that
lies there by itself never keeps a person from reading: a line on stderr says so.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edge_agent.errors import UsageError
from edge_agent.frozen import frozen

Command = TypeVar("Command", bound=Callable[..., Any])

ETC = Path("/etc/edge-agent/config.yaml")


@frozen
class Place:
    """Where a reading command looks. `note` is what is wrong with the default configuration."""

    state: Path
    timezone: str | None = None  # of the device, where a configuration names it
    note: str = ""


def to_type(words: str) -> str:
    """A command line for a `next:`, with the places that the command under way was given: so that
    it means the same store and the same configuration. It must take both options."""
    context = click.get_current_context(silent=True)
    given = {} if context is None else context.params
    for option, key in (("-c", "config"), ("--state", "state")):
        if given.get(key) is not None:
            words += f" {option} {shlex.quote(str(given[key]))}"
    return f"edge-agent {words}"


def config_option(command: Command) -> Command:
    return click.option(
        "-c",
        "--config",
        "config",
        type=click.Path(path_type=Path),
        help=f"The configuration (default: $EDGE_AGENT_CONFIG, {ETC}).",
    )(command)


def state_option(command: Command) -> Command:
    return click.option(
        "--state",
        type=click.Path(path_type=Path),
        help="The state directory (default: store.path, $EDGE_AGENT_STATE, ...).",
    )(command)


def family_option(command: Command) -> Command:
    return click.option(
        "--family",
        help="classification, ssd, yolo, fomo, segmentation, pose, anomaly, generic. [guessed]",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="JSON, one document a line.")(
        command
    )


def config_path(given: Path | None) -> Path:
    """Which file is meant; it need not be there."""
    named = os.environ.get("EDGE_AGENT_CONFIG")
    return given or (Path(named) if named else ETC)


def existing_config(given: Path | None) -> Path:
    """The configuration's file. Raises UsageError when it is not there."""
    path = config_path(given)
    if not _may_be_there(path):
        raise UsageError(
            f"there is no configuration {path}",
            "say which: -c FILE (an example: configs/minimal.yaml)",
        )
    return path


def state_directory(state: Path | None, config: Path | None) -> Path:
    """The state directory for a command that only reads; it need not be there."""
    if state is not None and config is None:
        return state
    return place(state, config).state


def place(state: Path | None, config: Path | None) -> Place:
    """Where to read, having said what is wrong with the default configuration.

    Raises UsageError when the one named with `-c` is wrong.
    """
    found = find_place(state, config)
    if found.note:
        say_note(found.note)
    return found


def find_place(state: Path | None, config: Path | None, *, lenient: bool = False) -> Place:
    """As `place`, and says nothing. `lenient`: a wrong configuration never raises."""
    path = config_path(config)
    if config is None and not _may_be_there(path):
        return Place(state or default_state())
    from edge_agent.config.load import read, refusal

    recall_known(path, state)
    loaded = read(path)
    if loaded.config is not None:
        stated = loaded.config.store.path
        folder = state or (Path(stated) if stated else default_state())
        return Place(folder, loaded.config.device.timezone)
    if config is not None and not lenient:
        raise refusal(path, loaded.mistakes)
    folder = state or _legible_state(loaded.data, path) or default_state()
    return Place(folder, note=f"{loaded.mistakes[0]} (going on with {folder})")


def recall_known(path: Path, state: Path | None) -> None:
    """What the agent that works with this configuration has found right."""
    from edge_agent.config.load import tree_of
    from edge_agent.service.known import recall

    stated = state or _legible_state(tree_of(path, "a configuration").data, path)
    recall(stated or default_state())


def default_state() -> Path:
    for name in ("EDGE_AGENT_STATE", "STATE_DIRECTORY"):
        if os.environ.get(name):
            return Path(os.environ[name].split(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(home) / "edge-agent"


def say_note(text: str) -> None:
    """One line on stderr that is no error; with --json a line of JSON."""
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("as_json"):
        import json

        click.echo(json.dumps({"note": text}, ensure_ascii=False), err=True)
    else:
        click.echo(f"edge-agent: {text}", err=True)


def _may_be_there(path: Path) -> bool:
    """False only where surely nothing is; what may not be looked at is a fault to be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _legible_state(data: object, path: Path) -> Path | None:
    """`store.path` of a configuration that is wrong elsewhere: its agent still runs there."""
    from edge_agent.config.lookup import mapping
    from edge_agent.config.values import file_beside

    stated = mapping(data, "store").get("path")
    if not isinstance(stated, str) or not stated:
        return None
    return Path(file_beside(stated, path.absolute().parent))
