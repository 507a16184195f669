"""What keys must say of one another: names that exist, switches that do not contradict.

Rules: works on the plain values, part by part, so that a mistake in one place hides none in
another; a part that the schema refuses is passed over here. Read `load.py` next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edge_agent.config.camera_uri import is_device, is_rtsp, wants_credentials_inside
from edge_agent.config.known import SomePart, part_of
from edge_agent.config.lookup import items, mapping, text, unknown
from edge_agent.config.output_faults import output_faults
from edge_agent.config.part import Invalid
from edge_agent.config.rules import rule_spec
from edge_agent.config.schema import Gate, Rule, RuleKeys
from edge_agent.config.signal_faults import pipeline_faults, source_faults
from edge_agent.config.wording import quoted
from edge_agent.config.yaml_text import Fault, Marks, Path
from edge_agent.pipeline.rulespec import rule_fault


def agreement_faults(data: object, marks: Marks) -> list[Fault]:
    """Every disagreement between the keys of one file."""
    faults: list[Fault] = []
    for name, pipeline in mapping(data, "pipelines").items():
        path: Path = ("pipelines", name)
        faults += unknown(pipeline, path, "source", mapping(data, "sources"))
        faults += _gate_faults(pipeline, path)
        faults += _rules_faults(pipeline, path, marks)
        faults += pipeline_faults(pipeline, mapping(data, "sources"), path)
        faults += output_faults(pipeline, mapping(data, "outputs"), path)
    for name, source in mapping(data, "sources").items():
        faults += _camera_faults(source, ("sources", name))
        faults += source_faults(source, ("sources", name))
    faults += _together(mapping(data, "mqtt"), ("mqtt",), "password", "username")
    tls = mapping(mapping(data, "mqtt"), "tls")
    faults += _together(tls, ("mqtt", "tls"), "cert", "key")
    faults += _together(tls, ("mqtt", "tls"), "key", "cert")
    return faults


def rule_faults(data: object, marks: Marks) -> list[Fault]:
    """The same of a file that holds pipelines' gates and rules alone, such as a policy.

    Where it states no zones (or lines), those of the device are meant, which nobody knows here.
    """
    faults: list[Fault] = []
    for name, pipeline in mapping(data, "pipelines").items():
        stated = pipeline if isinstance(pipeline, dict) else {}
        faults += _gate_faults(pipeline, ("pipelines", name))
        faults += [
            fault
            for fault in _rules_faults(pipeline, ("pipelines", name), marks)
            if fault.path[-1] not in ("zone", "line") or f"{fault.path[-1]}s" in stated
        ]
    return faults


def _camera_faults(source: object, path: Path) -> Iterator[Fault]:
    """What only a device has, only a stream, or only RTSP."""
    uri = text(source, "uri")
    if text(source, "kind") != "camera" or not isinstance(source, dict) or uri is None:
        return
    if is_device(uri):
        for key in ("username", "password", "transport"):
            if source.get(key) is not None:
                yield Fault((*path, key), f"a device of this machine has no {key}, allowed: none")
        return
    yield from _together(source, path, "password", "username")
    if source.get("transport") is not None and not is_rtsp(uri):
        yield Fault((*path, "transport"), "transport is RTSP's, allowed with an rtsp:// uri")
    if source.get("size") is not None:
        message = "a stream cannot be asked for a size, allowed: none (set it in the camera)"
        yield Fault((*path, "size"), message)
    if wants_credentials_inside(uri) and source.get("username") is None:
        message = "the uri has a place for credentials, allowed with username and password"
        yield Fault((*path, "uri"), message)


def _gate_faults(pipeline: object, path: Path) -> Iterator[Fault]:
    gate = _valid(Gate, mapping(pipeline, "gate"))
    if gate is not None and gate.motion is None and gate.stationary is True:
        message = "stationary needs motion, allowed with motion: false is stationary: false"
        yield Fault((*path, "gate", "stationary"), message)


def _rules_faults(pipeline: object, path: Path, marks: Marks) -> Iterator[Fault]:
    written = mapping(pipeline, "defaults")
    yield from _place_faults(written, pipeline, path, "defaults")
    defaults = _valid(RuleKeys, written) or RuleKeys()
    lines: dict[str, int] = {}
    for index, entry in enumerate(items(pipeline, "rules")):
        here: Path = (*path, "rules", index)
        yield from _place_faults(entry, pipeline, path, "rules", index)
        yield from _repeated(entry, here, lines, marks)
        rule = _valid(Rule, entry)
        if rule is not None:
            yield from _rule_faults(rule, defaults, here)


def _place_faults(rule: object, pipeline: object, path: Path, *below: str | int) -> Iterator[Fault]:
    """A zone or a line that the pipeline does not have."""
    for key in ("zone", "line"):
        yield from unknown(rule, (*path, *below), key, mapping(pipeline, f"{key}s"))


def _repeated(rule: object, path: Path, lines: dict[str, int], marks: Marks) -> Iterator[Fault]:
    name = text(rule, "name")
    if name is None:
        return
    line, _ = marks.at((*path, "name"))
    if name in lines:
        message = f"the name {quoted(name)} stands twice, first on line {lines[name]}"
        yield Fault((*path, "name"), message)
    lines.setdefault(name, line)


def _rule_faults(rule: Rule, defaults: RuleKeys, path: Path) -> Iterator[Fault]:
    fault = rule_fault(rule_spec(rule, defaults))
    if fault is not None:
        key = re.match(r"`(\w+)", fault)  # the key that the sentence begins with
        stated = key is not None and key[1] in rule.stated
        yield Fault((*path, key[1]) if key and stated else path, fault)


def _together(part: dict[str, Any], path: Path, key: str, other: str) -> Iterator[Fault]:
    """A key that is nothing without another one."""
    if part.get(key) is not None and part.get(other) is None:
        yield Fault((*path, key), f"{key} without {other}, allowed: both or neither")


def _valid(kind: type[SomePart], value: object) -> SomePart | None:
    """The part, or None where the schema refuses it and says so itself."""
    try:
        return part_of(kind, value)
    except Invalid:
        return None
