"""`edge-agent doctor`: what could keep this device from working, one question after the other.

Rules: in this order, because each answer explains the later ones; what depends on a failed check is
`skipped` and says so; every check is bounded in time; nothing is changed on the device, and a
running agent is not disturbed. A check is a function in one of the `doctor_*` files below, over the
nouns of `doctor_finding.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeAlias

from edge_agent.errors import EdgeError
from edge_agent.service.doctor_broker import broker
from edge_agent.service.doctor_config import configuration, models, sources
from edge_agent.service.doctor_disk import disk
from edge_agent.service.doctor_finding import Case, Check, Finding, Said, Verdict, fail
from edge_agent.service.doctor_host import clock, power, temperature
from edge_agent.service.doctor_permissions import permissions
from edge_agent.service.doctor_software import engine, versions
from edge_agent.service.doctor_store import database
from edge_agent.service.doctor_unit import unit

CHECKS = (
    Check("versions", versions, seconds=30),
    Check("engine", engine, seconds=60),
    Check("configuration", configuration, seconds=20),
    Check("models", models, needs=("configuration",), seconds=60),
    Check("source", sources, needs=("configuration",), seconds=40),
    Check("temperature", temperature),
    Check("power", power),
    Check("disk", disk, seconds=20),
    Check("clock", clock),
    Check("database", database, seconds=30),
    Check("permissions", permissions),
    Check("broker", broker, needs=("configuration",), seconds=40),
    Check("unit", unit),
)
NAMES = tuple(check.name for check in CHECKS)

#: How bad, from nothing to everything.
_ORDER: tuple[Verdict, ...] = ("skipped", "ok", "warn", "fail")


def examine(
    case: Case, only: Collection[str] = NAMES, checks: Sequence[Check] = CHECKS
) -> Iterator[Finding]:
    """The findings, each as soon as it is there: of the checks named, and of what they need."""
    wanted = _with_needs(only, checks)
    verdicts: dict[str, Verdict] = {}
    for check in checks:
        if check.name not in wanted:
            continue
        missing = [name for name in check.needs if verdicts.get(name) in ("fail", "skipped")]
        if missing:
            reason = f"not looked at: {missing[0]} must pass first"
            findings = iter([Finding(check.name, "skipped", 0.0, reason)])
        else:
            findings = _bounded(check, case)
        for finding in findings:
            yield finding
            verdicts[check.name] = _worse(verdicts.get(check.name, "skipped"), finding.verdict)


def worst(findings: Collection[Finding]) -> Verdict:
    """ok, warn or fail: of everything together."""
    verdict: Verdict = "ok"
    for finding in findings:
        verdict = _worse(verdict, finding.verdict)
    return verdict


def document(case: Case, findings: Sequence[Finding]) -> dict[str, Any]:
    """`doctor/1`."""
    return {
        "schema": "doctor/1",
        "verdict": worst(findings),
        "config": str(case.path),
        "state": str(case.state),
        "checks": [
            {
                "name": finding.name,
                "verdict": finding.verdict,
                "ms": round(finding.ms, 1),
                "message": finding.message,
                "hint": finding.hint or None,
            }
            for finding in findings
        ],
    }


# --- below ---------------------------------------------------------------------------------------

#: What the thread of a check hands over: what was said, and None at its end.
_Talk: TypeAlias = "SimpleQueue[Said | None]"


def _bounded(check: Check, case: Case) -> Iterator[Finding]:
    """What it finds, in a thread that may hang: the library behind a check may never return."""
    talk: _Talk = SimpleQueue()
    threading.Thread(
        target=_speak, args=(check, case, talk), name=f"doctor {check.name}", daemon=True
    ).start()
    end = monotonic() + check.seconds
    while True:
        began = monotonic()
        try:
            said = talk.get(timeout=max(0.0, end - began))
        except Empty:
            said = fail(
                f"no answer within {check.seconds:g} s: something hangs",
                "look for it with: dmesg | tail -n 20",
            )
            yield _finding(check, said, monotonic() - began)
            return
        if said is None:
            return
        yield _finding(check, said, monotonic() - began)


def _speak(check: Check, case: Case, talk: _Talk) -> None:
    try:
        for said in check.run(case):
            talk.put(said)
    except EdgeError as fault:
        talk.put(fail(fault.message, fault.next))
    except Exception as fault:
        # Ours. The other checks may still say what a person needs, so it becomes a finding.
        what = f"{type(fault).__name__}: {fault}"
        talk.put(fail(f"this check itself broke: {what}", "report it to the makers of edge-agent"))
    finally:
        talk.put(None)


def _finding(check: Check, said: Said, seconds: float) -> Finding:
    name = f"{check.name} {said.part}".rstrip()
    return Finding(name, said.verdict, 1000 * seconds, said.message, said.hint)


def _with_needs(only: Collection[str], checks: Sequence[Check]) -> set[str]:
    wanted = set(only)
    for check in reversed(checks):  # what is needed stands before what needs it
        if check.name in wanted:
            wanted.update(check.needs)
    return wanted


def _worse(one: Verdict, other: Verdict) -> Verdict:
    return max(one, other, key=_ORDER.index)
