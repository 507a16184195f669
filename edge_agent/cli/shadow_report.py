"""How the shadow of a candidate went, in sentences: `shadow/1` of `service/shadows.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def sentences(report: Mapping[str, Any]) -> Iterator[str]:
    """One for each pipeline that it was compared in; why, where it was in none."""
    if not report.get("pipelines"):
        yield f"not compared: {report.get('reason', 'nothing is known')}"
        return
    for name, each in report["pipelines"].items():
        yield f"{name}: {_pipeline(each)}"
    yield f"ended {report['ended']}, it took {report['memory_mb']:g} MB beside the active one"


def _pipeline(each: Mapping[str, Any]) -> str:
    from edge_agent.cli.render import plural

    found, events = each["findings"], each["would_be_events"]
    why = f" ({each['reason']})" if each["reason"] else ""
    parts = [
        f"{each['verdict']}{why}: {plural(each['frames'], 'frame')} compared",
        f"{found['candidate']} findings to {found['active']}, {found['both']} in common",
        f"{events['candidate']} events to {events['active']}",
        *(f"{name} {value:g}" for name, value in each["numbers"].items()),
    ]
    return ", ".join(parts)
