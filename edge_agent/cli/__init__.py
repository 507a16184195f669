"""The command line: one file per command, loaded only when it is called.

`--help` and `version` load none of them, so a tired person on a slow board waits for nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable, Sequence

import click

from edge_agent import __version__
from edge_agent.errors import EdgeError, NoRoom, kind_of

#: Name -> what stands in `--help`. The file of a command bears its name, its object is `command`.
COMMANDS = {
    "demo": "See it work: built-in scene, shipped model, real database.",
    "run": "The service: what systemd starts.",
    "check": "Validate a configuration; name every mistake.",
    "infer": "One model on pictures, once.",
    "replay": "Recorded input through the very same pipeline; batch mode.",
    "status": "Is it well? Works when the agent is down, too.",
    "events": "List, show and export what was seen.",
    "why": "Why an event was raised, or why nothing was.",
    "coverage": "How long every rule watched, and why not.",
    "regress": "The pinned cases of this site against a new configuration or model.",
    "pause": "Stop inferring, all pipelines or one.",
    "resume": "Go on inferring.",
    "reload": "Read the configuration again.",
    "models": "Import, list, test, measure and activate models.",
    "policies": "Gates, zones and rules that came signed; which are in charge.",
    "sources": "List, find and test sources; a picture to aim by.",
    "outputs": "List the outputs, switch one by hand.",
    "doctor": "What could keep this device from working, and what to do.",
    "support-bundle": "Everything that helps to find a fault, without secrets.",
    "outbox": "What waits to be sent; a stick where no network comes.",
    "ota": "Signed model and policy updates: what is offered, and how it went.",
    "bench": "What the whole pipeline costs on this board.",
    "schema": "Print the JSON Schema of a document.",
    "version": "Print the version.",
    "completion": "Print the completion script for a shell.",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called; `edge-fleet` has its own."""

    package = "edge_agent.cli"
    known = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.known:
            return None
        module = importlib.import_module(f"{self.package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.known.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output has gone (`| head`): nothing is wrong. What is still in our
            # hands must go somewhere, or Python complains at its exit.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            return 0


@click.group("edge-agent", cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-agent", message="%(prog)s %(version)s")
def root() -> None:
    """On-device inference for embedded Linux: judges frames here, sends only what matters."""


def nearest(word: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def obey(arguments: Sequence[str], group: click.Group = root, name: str = "edge-agent") -> int:
    """Run one command line; the exit code of the contract. Errors become one sentence on stderr."""

    def say(code: str, message: str, next_step: str) -> None:
        say_error(code, message, next_step, "--json" in arguments, name)

    try:
        code = group.main(list(arguments), prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        click.echo(help_wanted.ctx.get_help() if help_wanted.ctx else "", err=True)
        return 2
    except click.ClickException as fault:
        say("usage", _sentence(fault, name), f"{_command_of(fault, arguments, group)} --help")
        return 2
    except EdgeError as fault:
        say(fault.code, fault.message, fault.next)
        return fault.exit_code
    except MemoryError:
        say(NoRoom.code, "there is not enough memory for it", "")
        return NoRoom.exit_code
    except OSError as fault:
        kind = kind_of(fault)
        if kind is NoRoom:
            say(kind.code, "there is no space left for the output", "see: df -h")
            return kind.exit_code
        if fault.filename is None:
            raise  # ours: it deserves a traceback
        if issubclass(kind, NoRoom):
            say(kind.code, f"{fault.filename} is on a disk that can only be read", "see: mount")
            return kind.exit_code
        say("file", f"{fault.filename}: {fault.strerror}", "")
        return 2


def _sentence(fault: click.ClickException, program: str) -> str:
    """What click says, on one line; of an unknown command what all of them say."""
    if isinstance(fault, click.exceptions.NoSuchCommand) and fault.ctx is not None:
        known = fault.ctx.command
        names = known.list_commands(fault.ctx) if isinstance(known, click.Group) else []
        group = fault.ctx.command_path.removeprefix(program).strip()
        name = f"{group} {fault.command_name}".strip()
        return f"there is no command {name!r}{nearest(fault.command_name, names)}"
    return " ".join(fault.format_message().split())


def _command_of(fault: click.ClickException, arguments: Sequence[str], group: click.Group) -> str:
    """Whose help to read: an option's own fault does not always know its command."""
    if isinstance(fault, click.UsageError) and fault.ctx is not None:
        return fault.ctx.command_path
    context = click.Context(group, info_name=group.name)
    for word in arguments:
        command = context.command
        inner = command.get_command(context, word) if isinstance(command, click.Group) else None
        if inner is None:
            break
        context = click.Context(inner, context, word)
    return context.command_path


def say_error(
    code: str, message: str, next_step: str, as_json: bool, program: str = "edge-agent"
) -> None:
    """One sentence on stderr, then `next: ...`; with --json one line of JSON."""
    if as_json:
        error = {"code": code, "message": message, "next": next_step or None}
        click.echo(json.dumps({"error": error}, ensure_ascii=False), err=True)
        return
    click.echo(f"{program}: {message}", err=True)
    if next_step:
        click.echo(f"next: {next_step}", err=True)
