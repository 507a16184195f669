"""Which version of a model is in charge, what was before it, and what may take its place.

Pure: the nouns of `models/<name>/slots.json` and every change of them. A slot is the name of a
folder; None is the factory model, which came with the package. Rules:

* Who takes charge is on probation as long as there is somebody to go back to. What it goes back to
  is the last one that was committed, however many were tried since.
* What is broken never takes charge again, under whatever version its bytes come.
* A held name takes no version but the one that it is held at, and a lower version than the one in
  charge needs to be asked for. To go back needs neither.

`bundles/slots.py` keeps them on the disk; docs/decisions/0009-how-a-model-comes.md says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, field, fields, replace
from typing import Any, TypeAlias

from edge_agent.frozen import frozen

Slot: TypeAlias = str | None

#: What was broken is remembered of so many at most; the oldest is forgotten first.
MOST_BROKEN = 16
MINUTES = 60.0
FRAMES = 200
#: So often in a row an end from outside (a power cut) may cut a probation short: then it is over.
MOST_INTERRUPTIONS = 2


@frozen
class Known:
    """What happened to a slot so far; times are the wall's, in seconds since the epoch."""

    installed: float | None = None
    activated: float | None = None  # the last time
    activations: int = 0
    interruptions: int = 0  # probations in a row that an end from outside cut short
    rollout: str | None = None  # that it last took charge by; None: by hand
    sent_back: bool = False  # by a person or a guardrail, since it was last put in charge


@frozen
class Broken:
    """A slot that is not taken again."""

    reason: str
    since: float
    sha256: str


@frozen
class Hold:
    """Only this version may take charge. `who` held it: cli, command, ..."""

    version: str
    since: float
    who: str


@frozen
class Order:
    """The rollout that asked for a change (policy/rollout.py)."""

    rollout: str
    serial: int
    stage: str = ""


@frozen
class Terms:
    """What a probation asks for: so long, so many inferred frames, and within these guardrails."""

    minutes: float = MINUTES
    frames: int = FRAMES
    guardrails: Mapping[str, float] = field(default_factory=dict)


@frozen
class Served:
    """How long something was at work in one pipeline, and on how many inferred frames."""

    seconds: float = 0.0
    frames: int = 0

    def plus(self, more: Served) -> Served:
        return Served(self.seconds + more.seconds, self.frames + more.frames)


@frozen
class Probation:
    """The active slot has not proved itself yet. `before` comes back if it does not.

    `begun`: a process has put it in charge, so an unclean end of that is a reason to go back.
    `baseline`: what the predecessor showed, by pipeline (policy/probation.py).
    `served`: what it did before the last stop or reload, by pipeline.
    """

    before: Slot
    opened: float
    terms: Terms = Terms()
    begun: bool = False
    order: Order | None = None
    baseline: Mapping[str, Any] = field(default_factory=dict)
    served: Mapping[str, Served] = field(default_factory=dict)


@frozen
class Offer:
    """A version that would take charge."""

    slot: str
    version: str
    sha256: str


@frozen
class Slots:
    """The one truth of what runs under a name. `active` None: the factory model, where there is."""

    active: Slot = None
    previous: Slot = None
    candidate: Slot = None
    probation: Probation | None = None
    broken: Mapping[str, Broken] = field(default_factory=dict)
    hold: Hold | None = None
    known: Mapping[str, Known] = field(default_factory=dict)

    @property
    def kept(self) -> frozenset[str]:
        """The folders that are needed: two and what waits."""
        before = self.probation.before if self.probation else None
        every = (self.active, self.previous, self.candidate, before)
        return frozenset(slot for slot in every if slot is not None)

    @property
    def committed(self) -> Slot:
        """The last one that has proved itself."""
        return self.active if self.probation is None else self.probation.before

    # --- changes -----------------------------------------------------------------------------

    def with_installed(self, slot: str, now: float) -> Slots:
        """A folder is there, complete: it waits, unless it is one of the two already."""
        known = replace(self.known.get(slot, Known()), installed=now)
        waits = slot not in (self.active, self.previous, *self.broken)
        changed = replace(self, known={**self.known, slot: known})
        return replace(changed, candidate=slot) if waits else changed

    def with_active(self, slot: str, now: float, probation: Probation | None) -> Slots:
        """It takes charge. `probation` None: at once, because nothing is there to go back to.

        The last one that was committed has nothing to prove: taking it is going back.
        """
        if slot == self.committed and slot != self.active:
            return self.with_back(slot, now)
        known = self.known.get(slot, Known())
        order = probation.order if probation is not None else None
        known = replace(
            known,
            activated=now,
            activations=known.activations + 1,
            rollout=None if order is None else order.rollout,
            sent_back=False,
        )
        before = self.committed
        return replace(
            self,
            active=slot,
            previous=before,
            candidate=None if self.candidate == slot else self.candidate,
            probation=probation,
            known={**self.known, slot: known},
        )

    def with_candidate(self, slot: str) -> Slots:
        """It waits for an order to put it in charge, in the place of another that did."""
        return self if slot in (self.active, *self.broken) else replace(self, candidate=slot)

    def with_sent_back(self) -> Slots:
        """Nobody wants the active one: no order puts it in charge again."""
        if self.active is None:
            return self
        known = replace(self.known.get(self.active, Known()), sent_back=True)
        return replace(self, known={**self.known, self.active: known})

    def with_begun(self) -> Slots:
        """A process puts it in charge now."""
        if self.probation is None:
            return self
        return replace(self, probation=replace(self.probation, begun=True))

    def with_served(self, served: Mapping[str, Served]) -> Slots:
        """The active one has been at work, by pipeline; now it is interrupted."""
        if self.probation is None:
            return self
        before = self.probation.served
        after = {name: before.get(name, Served()).plus(more) for name, more in served.items()}
        return replace(self, probation=replace(self.probation, served={**before, **after}))

    def with_committed(self) -> Slots:
        """It has proved itself."""
        if self.active is None or self.probation is None:
            return self
        known = replace(self.known.get(self.active, Known()), interruptions=0)
        return replace(self, probation=None, known={**self.known, self.active: known})

    def with_broken(self, slot: str, broken: Broken) -> Slots:
        """Never again. It may still be the active one: go back then."""
        found = {**self.broken, slot: broken}
        for oldest in sorted(found, key=lambda each: found[each].since)[:-MOST_BROKEN]:
            del found[oldest]
        candidate = None if self.candidate == slot else self.candidate
        return replace(self, broken=found, candidate=candidate)

    def with_hold(self, hold: Hold | None) -> Slots:
        return replace(self, hold=hold)

    def with_forgotten(self, slot: str) -> Slots:
        """A person removed it: what was known of it is gone."""
        known = {each: value for each, value in self.known.items() if each != slot}
        broken = {each: value for each, value in self.broken.items() if each != slot}
        rest = replace(self, known=known, broken=broken)
        if self.candidate == slot:
            rest = replace(rest, candidate=None)
        return replace(rest, previous=None) if self.previous == slot else rest

    def with_interrupted(self) -> Slots:
        """The probation of the active one was cut short by an end that was not its fault."""
        if self.active is None:
            return self
        known = self.known.get(self.active, Known())
        known = replace(known, interruptions=known.interruptions + 1)
        return replace(self, known={**self.known, self.active: known})

    def back_to(self, usable: Callable[[Slot], bool]) -> Back | None:
        """Who takes charge when the active one goes: the one before it, else the factory model.

        `usable`: it is there and whole. None where nobody is.
        """
        before = self.previous if self.probation is None else self.probation.before
        for slot in dict.fromkeys((before, None)):
            if slot != self.active and slot not in self.broken and usable(slot):
                return Back(slot)
        return None

    def with_back(self, slot: Slot, now: float) -> Slots:
        """It takes charge again, with nothing behind it but the factory model. Who goes waits for
        somebody to try it again, unless it is broken."""
        leaving = self.active
        waits = leaving is not None and leaving not in self.broken
        known = dict(self.known)
        if slot is not None:
            was = known.get(slot, Known())
            known[slot] = replace(was, activated=now, activations=was.activations + 1)
        return replace(
            self,
            active=slot,
            previous=None,
            candidate=leaving if waits else self.candidate,
            probation=None,
            known=known,
        )

    # --- what speaks against a version -------------------------------------------------------

    def objection(self, offer: Offer, running: str | None, *, downgrade: bool) -> Objection | None:
        """`running`: the version in charge. `downgrade`: a lower one was asked for."""
        for slot, broken in self.broken.items():
            if offer.slot == slot or offer.sha256 == broken.sha256:
                return Objection("broken", f"it is broken: {broken.reason}")
        if self.hold is not None and self.hold.version != offer.version:
            return Objection("held", f"version {self.hold.version} is held")
        if running is not None and not downgrade and older(offer.version, running):
            return Objection("downgrade", f"version {running} is in charge, which is newer")
        return None

    @property
    def may_begin_again(self) -> bool:
        """Whether an interrupted candidate may be put in charge once more without being asked."""
        known = self.known.get(self.candidate or "", Known())
        return known.interruptions < MOST_INTERRUPTIONS


@frozen
class Back:
    """Where a way back leads; `slot` None is the factory model."""

    slot: Slot


@frozen
class Objection:
    """Why a version may not take charge: `code` for programs, `sentence` for people."""

    code: str  # broken, held, downgrade
    sentence: str


def older(version: str, than: str) -> bool:
    """Whether a version is lower, as Semantic Versioning orders them; what has no numbers is not
    comparable, and so never lower."""
    first, second = _key(version), _key(than)
    return first is not None and second is not None and first < second


def _key(version: str) -> tuple[Any, ...] | None:
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:-([\w.-]+))?(?:\+.*)?", version)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    if found[2] is None:
        return (tuple(numbers), 1, ())
    words = re.findall(r"\d+|[^\d.-]+", found[2])
    return (tuple(numbers), 0, tuple((0, int(w), "") if w.isdigit() else (1, 0, w) for w in words))


# --- the document --------------------------------------------------------------------------------


def document(slots: Slots) -> dict[str, Any]:
    """What stands in the file; `parse` of it is the same."""
    return {"schema": "slots/1", **asdict(slots)}


def parse(data: Any) -> Slots:
    """What a file says. Of a part that makes no sense, and of what an older agent did not write,
    nothing is known."""
    if not isinstance(data, Mapping):
        return Slots()
    return Slots(
        active=_slot(data.get("active")),
        previous=_slot(data.get("previous")),
        candidate=_slot(data.get("candidate")),
        probation=_probation(data.get("probation")),
        broken=_each(Broken, data.get("broken")),
        hold=_one(Hold, data.get("hold")),
        known=_each(Known, data.get("known")),
    )


def _slot(value: Any) -> Slot:
    return value if isinstance(value, str) and value else None


def _one(kind: type[Any], data: Any) -> Any:
    """A noun of plain values; None where a value is missing or of another kind."""
    if not isinstance(data, Mapping):
        return None
    values = {each.name: data[each.name] for each in fields(kind) if each.name in data}
    for each in fields(kind):
        value, said = values.get(each.name, 0), str(each.type)
        right = {
            "str": str, "int": int, "float": int | float, "bool": bool,
            "float | None": int | float | None, "str | None": str | None,
        }  # fmt: skip
        if each.name in values and said in right and not isinstance(value, right[said]):
            return None
    try:
        return kind(**values)
    except TypeError:
        return None


def _each(kind: type[Any], data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        return {}
    found = {str(name): _one(kind, value) for name, value in data.items()}
    return {name: value for name, value in found.items() if value is not None}


def _probation(data: Any) -> Probation | None:
    if not isinstance(data, Mapping):
        return None
    terms = _one(Terms, data.get("terms")) or Terms()
    limits = terms.guardrails if isinstance(terms.guardrails, Mapping) else {}
    numbers = {
        str(name): float(limit)
        for name, limit in limits.items()
        if isinstance(limit, int | float) and not isinstance(limit, bool)
    }
    opened, baseline = data.get("opened"), data.get("baseline")
    return Probation(
        before=_slot(data.get("before")),
        opened=float(opened) if isinstance(opened, int | float) else 0.0,
        terms=replace(terms, guardrails=numbers),
        begun=bool(data.get("begun")),
        order=_one(Order, data.get("order")),
        baseline=baseline if isinstance(baseline, Mapping) else {},
        served=_each(Served, data.get("served")),
    )
