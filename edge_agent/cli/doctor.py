"""`edge-agent doctor`: one question after the other, each answer with its next step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from edge_agent.cli.options import config_option, config_path, find_place, json_option, state_option
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.service.doctor_finding import Case, Finding

#: In the first column, as wide as the widest.
WORDS = {"ok": "ok   ", "warn": "warn ", "fail": "FAIL ", "skipped": "-    "}


def complete_check(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from edge_agent.service.doctor import NAMES

    return [CompletionItem(name) for name in NAMES if name.startswith(incomplete)]


@click.command()
@config_option
@state_option
@json_option
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_check,
    help="Only this check, and what it needs; may be said several times.",
)
def command(config: Path | None, state: Path | None, as_json: bool, only: tuple[str, ...]) -> int:
    """Look at everything that could keep this device from working; exit 1 when a check fails.

    Nothing is changed, a running agent is not disturbed. Run it as the agent's user, or as root.
    """
    from edge_agent.policy.documents import dump
    from edge_agent.service.doctor import document, examine, worst

    wanted = _known(only)
    case = case_of(config, state)
    findings = []
    for finding in examine(case, wanted):
        findings.append(finding)
        if not as_json:
            click.echo(words(finding))
    if as_json:
        click.echo(dump(document(case, findings)))
    else:
        click.echo(f"\n{summary(findings)}")
    return 1 if worst(findings) == "fail" else 0


def case_of(config: Path | None, state: Path | None) -> Case:
    """What is examined. A wrong configuration is a finding here, not an error."""
    from edge_agent.service.doctor_finding import Case

    return Case(config_path(config), find_place(state, config, lenient=True).state)


def words(finding: Finding) -> str:
    """One finding in at most 80 columns; a command to copy stays in one line, however long."""
    from edge_agent.cli.render import GLUE, WIDTH, wrapped
    from edge_agent.pipeline.why import width

    took = f" ({finding.ms:.0f}{GLUE}ms)" if finding.ms >= 1 else ""
    head = f"{WORDS[finding.verdict]} "
    lines = wrapped(head, f"{finding.name}: {finding.message}{took}")
    if finding.hint:
        margin = " " * len(head)
        whole = f"{margin}next: {finding.hint}"
        sentence, colon, todo = finding.hint.partition(": ")
        if width(whole) <= WIDTH:
            lines.append(whole)
        elif colon and width(f"{margin}{todo}") > WIDTH // 2:
            lines += [*wrapped(f"{margin}next: ", f"{sentence}:"), f"{margin}      {todo}"]
        else:
            lines += wrapped(f"{margin}next: ", finding.hint)
    return "\n".join(lines)


def summary(findings: list[Finding]) -> str:
    from edge_agent.cli.render import plural

    count = dict.fromkeys(WORDS, 0)
    for finding in findings:
        count[finding.verdict] += 1
    parts = [
        f"{count['ok']} ok",
        plural(count["warn"], "warning"),
        f"{count['fail']} failed",
        f"{count['skipped']} skipped",
    ]
    return f"{plural(len(findings), 'answer')}: {', '.join(parts)}."


def _known(only: tuple[str, ...]) -> tuple[str, ...]:
    from edge_agent.config.wording import did_you_mean
    from edge_agent.service.doctor import NAMES

    for name in only:
        if name not in NAMES:
            raise UsageError(
                f"there is no check {name!r}{did_you_mean(name, NAMES)}",
                f"one of: {', '.join(NAMES)}",
            )
    return only or NAMES
