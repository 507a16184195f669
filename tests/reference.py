"""Makes docs/commands.md from the commands: python tests/reference.py > docs/commands.md"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from edge_agent import errors
from edge_agent.cli import COMMANDS, root

HEAD = """\
# Commands

Made from the program itself (`python tests/reference.py > docs/commands.md`); a test holds it.

Every reading command takes `--json`. Errors are one sentence on stderr, then `next: ...` where
there is something to do; with `--json` one line `{"error": {"code", "message", "next"}}`. No colour
and no progress bar when the output is not a terminal, or `NO_COLOR` is set.

State directory: `--state DIR`, then `store.path` of the configuration, `EDGE_AGENT_STATE`,
`STATE_DIRECTORY`, `~/.local/state/edge-agent`. Configuration: `-c FILE`, `EDGE_AGENT_CONFIG`,
`/etc/edge-agent/config.yaml`.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
"""
TAIL = "| 130 | ctrl-C |\n"


def exit_codes() -> Iterator[str]:
    kinds = (
        errors.EdgeError,
        errors.UsageError,
        errors.NotRunning,
        errors.Refused,
        errors.NoRoom,
    )
    for kind in kinds:
        meaning = "The thing asked for failed." if kind is errors.EdgeError else kind.__doc__ or ""
        yield f"| {kind.exit_code} | {meaning.splitlines()[0].rstrip('.').lower()} |\n"


def sections() -> Iterator[str]:
    context = click.Context(root, info_name="edge-agent")
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        yield from described(command, f"edge-agent {name}", "##")


def described(command: click.Command, path: str, level: str) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(click.Context(command)))
    yield f"\n{level} `{path} {usage}`\n\n".replace(" `", " `", 1)
    yield f"{' '.join((command.help or '').split())}\n"
    rows = [
        (", ".join(option.opts + option.secondary_opts), option.help or "", option)
        for option in command.params
        if isinstance(option, click.Option)
    ]
    if rows:
        yield "\n| option | meaning |\n|---|---|\n"
        for names, text, option in rows:
            choices = ""
            if isinstance(option.type, click.Choice):
                choices = f" ({', '.join(option.type.choices)})"
            yield f"| `{names}` | {text}{choices} |\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            child = command.get_command(click.Context(command), name)
            assert child is not None
            yield from described(child, f"{path} {name}", "###")


def reference() -> str:
    return "".join([HEAD, *exit_codes(), TAIL, *sections()])


if __name__ == "__main__":
    sys.stdout.write(reference())
