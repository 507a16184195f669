"""What is in charge of each model and policy, what is tried, what is ordered and why it waits.

One view for whoever asks: `status`, `ota status`, `models show`, and Home Assistant by `health`.
Rules: the slots say what is installed, the running agent what it is at; where none runs, that is
unknown. A model is viewed while a pipeline uses it; a policy as long as it is at work, may come to
charge, or is ordered. Nothing of either is read, so that it may be asked for every second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.bundles import slots
from edge_agent.bundles.folders import version_of
from edge_agent.bundles.slots import MODELS, POLICIES, Shelf
from edge_agent.frozen import frozen
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.slots import Probation, Slots

if TYPE_CHECKING:
    from edge_agent.config.schema import Ota

#: What Home Assistant takes of a summary is 255 characters.
SHORT = 200
#: What a first policy goes back to.
NO_POLICY = "the configuration alone"


@frozen
class Ordered:
    """What a rollout asks of this device. `says`: what is done about it, or why nothing is."""

    rollout: str
    version: str
    stage: str
    says: str
    comes: bool = True  # False: refused here, aborted, or an older version

    @property
    def words(self) -> str:
        return f"rollout {self.rollout}, stage {self.stage}: {self.says}"


@frozen
class Compared:
    """A candidate in the shadow: so many frames of so many. `waits`: why there are no more now."""

    model: str
    frames: int
    of: int
    waits: str = ""


@frozen
class AtWork:
    """What only the running agent knows: of models, or of policies, by their names."""

    ordered: Mapping[str, Ordered]
    going: Mapping[str, str]  # what a probation still wants
    busy: str | None = None  # an order about it is being carried out
    compared: Compared | None = None


IDLE = AtWork({}, {})


@frozen
class View:
    """One model or policy. `version` is what runs, or stands in the slots; of a policy None where
    none of that name is in charge."""

    version: str | None
    candidate: str | None = None
    compared: Compared | None = None
    probation: Probation | None = None
    before: str | None = None  # what comes back after it; None: no policy
    going: str | None = None
    ordered: Ordered | None = None
    busy: bool = False

    @property
    def latest(self) -> str | None:
        """The version that is to come, or the one that is there."""
        if self.ordered is not None and self.ordered.comes:
            return self.ordered.version
        return self.candidate or self.version

    @property
    def is_there(self) -> bool:
        """Whether there is anything of it to show."""
        return (self.version, self.candidate, self.ordered) != (None, None, None)

    @property
    def words(self) -> str:
        """One clause for people; empty where there is nothing to say."""
        if self.ordered is not None:
            return _cut(self.ordered.words)
        if self.probation is not None:
            return f"on probation, else back to {self.before or NO_POLICY}"
        return "" if self.candidate is None else "a candidate that nobody has put in charge"


@frozen
class Views:
    """Of all that this device has, by name."""

    models: Mapping[str, View]
    policies: Mapping[str, View]


def views(state: Path, running: Mapping[str, str], work: AtWork = IDLE) -> dict[str, View]:
    """Of each model of `running`, with the version that runs; of those without slots, too."""
    names = sorted(running.items())
    return {name: _view(state, MODELS, name, version, work) for name, version in names}


def policy_views(state: Path, laid: Mapping[str, str], work: AtWork = IDLE) -> dict[str, View]:
    """Of each policy that is at work (`laid`, with its version), or to come."""
    names = {*slots.stated_names(state, POLICIES), *laid, *work.ordered}
    found = {name: _view(state, POLICIES, name, laid.get(name), work) for name in sorted(names)}
    return {name: each for name, each in found.items() if each.is_there}


def stored_views(state: Path) -> Views:
    """While no agent runs: of each model and policy that was ever installed."""
    names = slots.stated_names(state)
    versions = {name: version_of(slots.read_slots(state, name).active) for name in names}
    names = slots.stated_names(state, POLICIES)
    stated = {name: slots.read_slots(state, name, POLICIES).active for name in names}
    laid = {name: version_of(slot) for name, slot in stated.items() if slot is not None}
    return Views(views(state, versions), policy_views(state, laid))


def told(found: Mapping[str, View]) -> dict[str, Any]:
    """As `health` has it. It says what changes now and then, nothing that counts on."""
    return {
        name: {
            "version": each.version,
            "latest": each.latest,
            "busy": each.busy,
            "says": each.words,
        }
        for name, each in found.items()
    }


def ota_document(found: Views, state: Path, ota: Ota | None) -> dict[str, Any]:
    """The key `ota` of `status/1`."""
    from edge_agent.updates.checked import last_check  # not before the first frame

    checked = last_check(state)
    failure = None if checked is None else checked.failure
    return {
        "repository": None if ota is None else ota.repository,
        "hold": ota is not None and ota.hold,
        "checked": None if checked is None else rfc3339(checked.at),
        "good": None if checked is None or checked.good is None else rfc3339(checked.good),
        "failure": None
        if failure is None
        else {"code": failure.code, "message": failure.message, "next": failure.next or None},
        **documents(found),
    }


def documents(found: Views) -> dict[str, Any]:
    """`models` and `policies` of that key; a policy has nothing to run in a shadow."""
    return {
        "models": {
            name: {**_document(each), "shadow": _shadow(each.compared)}
            for name, each in found.models.items()
        },
        "policies": {name: _document(each) for name, each in found.policies.items()},
    }


def lines(name: str, of: Mapping[str, Any]) -> Iterable[str]:
    """One model or policy of that document, a sentence each; none where it is only in charge."""
    probation, shadow, ordered = of["probation"], of.get("shadow"), of["ordered"]
    if probation is not None:
        by = f" (rollout {probation['rollout']})" if probation["rollout"] else ""
        left = f", {probation['to_go']}" if probation["to_go"] else ""
        back = probation["before"] or NO_POLICY
        yield f"{name} {of['version']} on probation{by}{left}; else back to {back}"
    if of["candidate"] is not None:
        compared = f", {shadow['frames']} of {shadow['of']} frames compared" if shadow else ""
        compared += f": {shadow['waits']}" if shadow and shadow["waits"] else ""
        yield f"{name} {of['candidate']} is a candidate{compared}"
    if ordered is not None:
        yield (
            f"{name} {ordered['version']} is ordered by rollout {ordered['rollout']}, "
            f"stage {ordered['stage']}: {ordered['says']}"
        )


# --- below ----------------------------------------------------------------------------------------


def _view(state: Path, shelf: Shelf, name: str, version: str | None, work: AtWork) -> View:
    found, compared = slots.read_slots(state, name, shelf), work.compared
    compared = compared if compared is not None and compared.model == name else None
    # A start may have left a policy out that the slots put in charge: nobody watches that one.
    probation = found.probation if version is not None else None
    before = None if probation is None else probation.before
    return View(
        version,
        _candidate(found),
        compared,
        probation,
        None if shelf is POLICIES and before is None else version_of(before),
        work.going.get(name) if probation is not None else None,
        work.ordered.get(name),
        work.busy == name or compared is not None,
    )


def _candidate(found: Slots) -> str | None:
    """A version that may still take charge."""
    slot = found.candidate
    if slot is None or slot in found.broken:
        return None
    known = found.known.get(slot)
    return None if known is not None and known.sent_back else version_of(slot)


def _document(view: View) -> dict[str, Any]:
    probation, ordered = view.probation, view.ordered
    order = None if probation is None else probation.order
    return {
        "version": view.version,
        "candidate": view.candidate,
        "probation": None
        if probation is None
        else {
            "before": view.before,
            "rollout": None if order is None else order.rollout,
            "to_go": view.going,
        },
        "ordered": None
        if ordered is None
        else {
            "rollout": ordered.rollout,
            "version": ordered.version,
            "stage": ordered.stage,
            "says": ordered.says,
        },
    }


def _shadow(compared: Compared | None) -> dict[str, Any] | None:
    if compared is None:
        return None
    return {"frames": compared.frames, "of": compared.of, "waits": compared.waits}


def _cut(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"
