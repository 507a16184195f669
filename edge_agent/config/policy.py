"""A policy: gates, zones and rules for pipelines that a device has, without a model's change.

Rules: it names nothing that reaches out of the pipeline: no source, model, engine, output program,
broker or secret, and no privacy mask, so that who holds the policies' key can uncover nothing.
What it states takes the place of the pipeline's own; what it does not stays as it is. Read by the
desk that publishes it and by the device that takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from edge_agent.config.agreement import rule_faults
from edge_agent.config.annotations import Check, after, allowed
from edge_agent.config.lookup import mapping
from edge_agent.config.one_file import OneFile, Sort
from edge_agent.config.part import Part, key, keys_of, part
from edge_agent.config.schema import Config, Gate, Line, Rule, RuleKeys, Watched, true_or_false
from edge_agent.config.values import Area, AsText, Name
from edge_agent.config.wording import quoted
from edge_agent.config.yaml_text import Fault, Marks
from edge_agent.config.yaml_text import Path as Where
from edge_agent.frozen import frozen_by_name

VERSION = re.compile(r"\w[\w.+-]{0,31}")
_VERSION = 'a version such as "1.2", without spaces and slashes'
#: A name becomes a folder, as that of a bundle does.
FOLDER = re.compile(r"\w[\w.-]{0,63}")
_FOLDER = "up to 64 letters, digits, _, . and -"
#: What somebody may try, and why it is not here.
_ELSEWHERE = {
    "source": "a policy changes no source",
    "model": "a policy changes no model, publish the bundle instead",
    "engine": "a policy changes no engine",
    "threads": "a policy changes no engine",
    "delegate": "a policy changes no engine",
}
_PRIVACY = "a policy cannot change what is blackened, only the device's own configuration can"


def _matching(pattern: re.Pattern[str], what: str) -> Check:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{quoted(text)} stands here, allowed: {what}")
        return text

    return after(check)


Version = Annotated[str, AsText, _matching(VERSION, _VERSION), allowed(_VERSION)]
FolderName = Annotated[str, AsText, _matching(FOLDER, _FOLDER), allowed(_FOLDER)]


@frozen_by_name
class PolicyMasks(Part):
    motion: tuple[Area, ...] = key("Movement here is no motion.", (), strict=False)
    object: tuple[Area, ...] = key("Objects that stand here do not exist.", (), strict=False)


@frozen_by_name
class PolicyPipeline(Part):
    """What a policy may say of one pipeline; each key as in the configuration."""

    gate: Gate | None = key("Which frames are inferred.", None)
    camera_health: Watched = key(
        "An event when the camera is not well.", None, json_schema_extra=true_or_false
    )
    masks: PolicyMasks = part("Polygons that are left out.", PolicyMasks)
    zones: dict[Name, Area] = key("Named polygons.", {})
    lines: dict[Name, Line] = key("Named lines that can be crossed.", {})
    defaults: RuleKeys = part("For every rule below; a rule's own keys win.", RuleKeys)
    rules: tuple[Rule, ...] = key("What opens an event.", (), strict=False)


@frozen_by_name
class Policy(Part):
    """One file. `stated` of a pipeline is what it states."""

    name: FolderName = key("Of the policy; its versions follow one another.")
    version: Version = key("Of this file.")
    pipelines: dict[Name, PolicyPipeline] = key("By their names on the device.", min_length=1)


def _faults(data: object, marks: Marks) -> Iterator[Fault]:
    yield from rule_faults(data, marks)
    yield from elsewhere_faults(data, marks)


def elsewhere_faults(data: object, marks: Marks) -> Iterator[Fault]:
    """What reaches out of gates, zones and rules, and why it has no place here."""
    for word in data if isinstance(data, dict) else ():
        if word in keys_of(Config) and word not in keys_of(Policy):
            yield Fault((word,), f"a policy has pipelines alone, no {word}", marks.key((word,)))
    for name, pipeline in mapping(data, "pipelines").items():
        where: Where = ("pipelines", name)
        for word, why in _ELSEWHERE.items():
            if isinstance(pipeline, dict) and word in pipeline:
                yield Fault((*where, word), why, marks.key((*where, word)))
        if "privacy" in mapping(pipeline, "masks"):
            place = (*where, "masks", "privacy")
            yield Fault(place, _PRIVACY, marks.key(place))


POLICY = Sort("a policy", Policy, _faults)


def read_policy(path: Path) -> OneFile[Policy]:
    """The policy in a file, or every mistake in it."""
    return POLICY.read(path)
