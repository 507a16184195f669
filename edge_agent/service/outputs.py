"""What events switch on and off: lamps, horns, barriers. Not a safety device.

Rules:

* An output is on while any event of a rule that names it is open, and at least `hold_s`: an event
  that opens and closes at once gives a pulse.
* Only the last state counts. What changes while a program runs, or within `GAP_S`, is made up for
  by one change; so nothing queues, and whoever tells of an event never waits.
* A change that fails is tried again every `RETRY_S`, as long as it is still wanted. It is logged
  once, counted, and `status` names it.
* A thread for each output: one that hangs holds up no other. Monotonic time; the network, the
  broker and the disk have no part in it.

Read `host/command.py` and `host/gpio.py` next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TypeAlias

from edge_agent.config.explain import PipelineSpec
from edge_agent.config.schema import CommandOutput, GpioOutput
from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.host.command import Command
from edge_agent.host.gpio import GpioLine, LineSpec
from edge_agent.pipeline.camera_events import RULE
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.vigil import Beat
from edge_agent.ports import Switch
from edge_agent.service.supervisor import Group
from edge_agent.types import Event

log = logging.getLogger("edge_agent.outputs")

#: An output changes at most so often, in seconds.
GAP_S = 0.5
#: After a failure it is tried again this much later.
RETRY_S = 5.0
#: Nobody waits for longer before looking at the stop event.
LOOK_S = 1.0
#: Beyond a program's own time-out: it is started, killed, waited for.
GRACE_S = 30.0

OutputConfig: TypeAlias = CommandOutput | GpioOutput


def switch_of(output: OutputConfig) -> Switch:
    """What the configuration means."""
    if isinstance(output, CommandOutput):
        return Command(output.argv, output.timeout_s)
    return GpioLine(LineSpec(output.chip, output.line, output.active_low))


@frozen
class OutputFacts:
    """One output at present. `on` None: nobody knows. `error` "": the last change worked."""

    kind: str
    on: bool | None
    changes: int
    failures: int
    error: str
    next: str
    failing_since: float | None  # the agent's time


@frozen
class Manner:
    """How one output behaves; `now` is the agent's time, for people."""

    hold_s: float
    off_on_stop: bool
    now: Callable[[], float]
    told: Callable[[float], str] = rfc3339  # a moment of it as others read it
    within_s: float = GRACE_S  # the longest that a change may take, all told


class Wish:
    """What an output should be, from the events so far. Time is an argument."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._open: dict[str, Event] = {}
        self._pulse = False  # an event opened since it was last switched on
        self._until = 0.0
        self.event: Event | None = None  # the one that it is about

    def note(self, event: Event, *, opened: bool) -> None:
        self.event = event
        if opened:
            self._open[event.id] = event
            self._pulse = True
        else:
            self._open.pop(event.id, None)

    def on(self, now: float) -> bool:
        return bool(self._open) or self._pulse or now < self._until

    def tried(self, now: float, *, on: bool, worked: bool) -> None:
        """It was told to be so. A pulse that failed is not made up for."""
        if on:
            self._pulse = False
            self._until = now + self._hold_s if worked else 0.0

    def held(self, now: float) -> None:
        """It is on already: what opened since then holds it anew."""
        if self._pulse:
            self._pulse, self._until = False, now + self._hold_s

    def left(self, now: float) -> float:
        """Seconds until it changes by itself; a long time when it does not."""
        return max(0.0, self._until - now) if not self._open and now < self._until else LOOK_S


class Output:
    """One output: its wish, its switch, and the thread that brings both together."""

    def __init__(self, name: str, kind: str, switch: Switch, manner: Manner) -> None:
        self.name = name
        self._kind = kind
        self._switch = switch
        self._manner = manner
        self._wish = Wish(manner.hold_s)
        self._lock = threading.Lock()
        self._news = threading.Event()
        # Whoever left it on at a stop, or died: it is off at first, or nobody touches it.
        self._on: bool | None = None if manner.off_on_stop else False
        self.beat = Beat(f"output {name}", renewable=True)
        self._not_before = 0.0
        self._changes = self._failures = 0
        self._fault: EdgeError | None = None
        self._failing_since: float | None = None

    def note(self, event: Event, *, opened: bool) -> None:
        """From any thread; never waits for the switch."""
        with self._lock:
            self._wish.note(event, opened=opened)
        self._news.set()

    def facts(self) -> OutputFacts:
        fault = self._fault
        return OutputFacts(
            self._kind,
            self._on,
            self._changes,
            self._failures,
            fault.message if fault else "",
            fault.next if fault else "",
            self._failing_since,
        )

    def hurry(self) -> None:
        """The agent stops: end soon what is under way."""
        self._news.set()
        self._switch.hurry()

    def run(self, stop: threading.Event) -> None:
        """Until the stop."""
        try:
            while not stop.is_set():
                self.beat.begin("following its events", self._manner.within_s)
                self._follow()
                self._news.wait(self._patience())
                self._news.clear()
        finally:
            self._end()

    # --- below, in call order -----------------------------------------------------------------

    def _follow(self) -> None:
        """One change, if one is wanted and due."""
        moment = monotonic()
        with self._lock:
            wanted, event = self._wish.on(moment), self._wish.event
            if wanted and self._on:
                self._wish.held(moment)
        if wanted is self._on or moment < self._not_before:
            return
        worked = self._turn(wanted, event)
        moment = monotonic()
        self._not_before = moment + (GAP_S if worked else RETRY_S)
        with self._lock:
            self._wish.tried(moment, on=wanted, worked=worked)

    def _patience(self) -> float:
        """How long nothing can be due, unless there is news."""
        moment = monotonic()
        with self._lock:
            due = self._wish.on(moment) is not self._on
            left = self._wish.left(moment)
        return min(LOOK_S, max(0.0, self._not_before - moment) if due else left)

    def _turn(self, on: bool, event: Event | None) -> bool:
        """Switch it; whether it worked."""
        try:
            self._switch.open()
            self._switch.turn(on, {**facts_of(event, self._manner.told), "EDGE_OUTPUT": self.name})
        except EdgeError as fault:
            self._failures += 1
            if self._fault is None or self._fault.message != fault.message:  # once per change
                log.error("output fails name=%s reason=%r", self.name, fault.message)
            if self._fault is None:
                self._failing_since = self._manner.now()
            self._fault, self._on = fault, None
            return False
        self._fault, self._failing_since, self._on = None, None, on
        self._changes += 1
        about = "" if event is None else f" event={event.id}"
        log.info("output %s name=%s%s", "on" if on else "off", self.name, about)
        return True

    def _end(self) -> None:
        """Off, where it is not known to be off, or as it is; then it is given back."""
        if self._manner.off_on_stop and self._on is not False:
            self._turn(False, self._wish.event)
        self._switch.close()


class Outputs:
    """All outputs of one configuration."""

    def __init__(
        self,
        configured: Mapping[str, OutputConfig],
        now: Callable[[], float],
        told: Callable[[float], str] = rfc3339,
    ) -> None:
        self._outputs = {
            name: Output(
                name,
                output.kind,
                switch_of(output),
                Manner(output.hold_s, output.on_stop == "off", now, told, _within_s(output)),
            )
            for name, output in configured.items()
        }

    def start(self, group: Group) -> None:
        for output in self._outputs.values():
            group.start(f"output {output.name}", output.run, output.beat)

    def hurry(self) -> None:
        for output in self._outputs.values():
            output.hurry()

    def facts(self) -> dict[str, OutputFacts]:
        return {name: output.facts() for name, output in self._outputs.items()}

    def of(self, spec: PipelineSpec) -> Raised:
        """Whom the recorder of that pipeline tells of its events."""
        named = {rule.name: rule.output for rule in spec.rules}
        if spec.camera_events is not None:
            named[RULE] = spec.camera_events.output
        wired = {rule: self._outputs[name] for rule, name in named.items() if name is not None}

        def raised(opened: Sequence[Event], closed: Sequence[Event]) -> None:
            for event in opened:
                if event.rule in wired:
                    wired[event.rule].note(event, opened=True)
            for event in closed:
                if event.rule in wired:
                    wired[event.rule].note(event, opened=False)

        return raised


def _within_s(output: OutputConfig) -> float:
    timeout_s: float = getattr(output, "timeout_s", 0.0)
    return 2 * timeout_s + GRACE_S


#: Is told what opened and what closed.
Raised: TypeAlias = Callable[[Sequence[Event], Sequence[Event]], None]


def facts_of(event: Event | None, told: Callable[[float], str] = rfc3339) -> dict[str, str]:
    """What a program may know of the event, as variables of its environment; docs/outputs.md."""
    if event is None:
        return {}
    return {
        "EDGE_EVENT_ID": event.id,
        "EDGE_PIPELINE": event.pipeline,
        "EDGE_SOURCE": event.source,
        "EDGE_RULE": event.rule,
        "EDGE_PRIORITY": event.priority.value,
        "EDGE_LABEL": event.label or "",
        "EDGE_ZONE": event.zone or "",
        "EDGE_TEXT": event.text,
        "EDGE_OPENED": told(event.opened),
    }
