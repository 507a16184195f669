"""Commands on their way in, replies on their way out; between them the one thread that runs them.

Rules: nothing is run that was not allowed, that expired (also while it waited here), that the
broker had kept (a retained command would be run at every connect), or that is one too many. At
least once is the way of MQTT: the same id again gets the same reply and is not run again. Every
queue is bounded: of a flood the first are run, the next are told `busy`, the rest is counted.
Read `delivery.py` for how both travel.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from edge_agent.errors import EdgeError
from edge_agent.frozen import frozen
from edge_agent.policy.commands import Budget, Command, Malformed, failure, parse, success
from edge_agent.policy.envelope import to_bytes
from edge_agent.policy.vigil import Beat

log = logging.getLogger("edge_agent.commands")

Handler: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]

#: Commands that wait to be run, replies that wait to be sent, replies that are remembered.
WAITING = 16
REPLIES = 32
REMEMBERED = 64
WAIT_S = 0.5
#: A command takes no longer, or its thread hangs.
LATE_S = 60.0


@frozen
class Arrived:
    """One message on a command's topic, with what MQTT 5 says of it. `at` is monotonic."""

    topic: str
    payload: bytes
    retained: bool
    at: float
    expiry_s: float | None = None
    response_topic: str | None = None
    correlation: bytes | None = None

    @property
    def expires(self) -> float:
        return float("inf") if self.expiry_s is None else self.at + self.expiry_s


@frozen
class Reply:
    """What is published in answer."""

    topic: str
    id: str | None
    payload: bytes
    correlation: bytes | None = None


class Inbox:
    """`offer` and `take_reply` are the publisher's, `run` a thread of its own."""

    def __init__(self, base: str, handlers: Mapping[str, Handler]) -> None:
        """`handlers` are the allowed commands; each raises EdgeError with its sentence."""
        self._base = base
        self._handlers = handlers
        self._budget = Budget()
        self._lock = threading.Condition()
        self._waiting: deque[tuple[Arrived, Command]] = deque()
        self._replies: deque[Reply] = deque()
        self._known: OrderedDict[tuple[str, str], dict[str, Any] | None] = OrderedDict()
        self._ring: Callable[[], None] = lambda: None
        self.dropped = 0  # of a flood: not even answered
        self.beat = Beat("commands", renewable=True)

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(f"{self._base}/cmd/{name}" for name in self._handlers)

    def rings(self, ring: Callable[[], None]) -> None:
        """Who is to be told that a reply waits."""
        self._ring = ring

    # --- the publisher's side -----------------------------------------------------------------

    def offer(self, arrived: Arrived) -> None:
        """Taken in to be run, answered at once, or dropped."""
        name = arrived.topic.rpartition("/")[2]
        if arrived.retained:
            log.warning("not run: a retained command is no command name=%s", name)
            return
        with self._lock:
            try:
                command = parse(name, arrived.payload)
            except Malformed as fault:
                self._answer(arrived, fault.id, failure(fault.id, "malformed", str(fault)))
                return
            self._take_in(arrived, command)

    def _take_in(self, arrived: Arrived, command: Command) -> None:
        key = (command.name, command.id)
        if key in self._known:
            if (again := self._known[key]) is not None:  # else it is being run: one reply
                self._answer(arrived, command.id, again)
            return
        spent = self._budget.spent(arrived.at) if len(self._waiting) < WAITING else None
        if spent is None:
            busy = failure(command.id, "busy", "too many commands", "ask again in a few seconds")
            self._answer(arrived, command.id, busy)
            return
        self._budget = spent
        self._remember(key, None)
        self._waiting.append((arrived, command))
        self._lock.notify()

    def take_reply(self) -> Reply | None:
        with self._lock:
            return self._replies.popleft() if self._replies else None

    # --- who runs them --------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.beat.begin("waiting for a command", LATE_S)
            self.step(WAIT_S)

    def step(self, wait_s: float) -> None:
        """Run one, where one comes within `wait_s`."""
        with self._lock:
            if not self._waiting:
                self._lock.wait(wait_s)
            if not self._waiting:
                return
            arrived, command = self._waiting.popleft()
        reply = self._run(arrived, command)
        with self._lock:
            self._remember((command.name, command.id), reply)
            self._answer(arrived, command.id, reply)

    def _run(self, arrived: Arrived, command: Command) -> dict[str, Any]:
        if time.monotonic() > arrived.expires:
            return failure(command.id, "expired", "the command had expired when its turn came")
        log.info("command name=%s id=%s", command.name, command.id)
        try:
            return success(command.id, self._handlers[command.name](command.args))
        except EdgeError as fault:
            return failure(command.id, fault.code, fault.message, fault.next)
        except Exception as fault:
            # The agent goes on; the sender learns that it is not their fault.
            log.exception("command failed name=%s", command.name)
            return failure(command.id, "failed", f"{command.name} failed in the agent: {fault}")

    def _remember(self, key: tuple[str, str], reply: dict[str, Any] | None) -> None:
        self._known[key] = reply
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _answer(self, arrived: Arrived, id_: str | None, reply: dict[str, Any]) -> None:
        """To the response topic that was asked for, else to `reply/<id>`."""
        if len(self._replies) >= REPLIES:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1000 == 0:
                log.warning("a flood of commands: not answered so far=%d", self.dropped)
            return
        topic = arrived.response_topic
        if topic is None or not _is_fit(topic):
            topic = f"{self._base}/reply/{id_ or 'malformed'}"
        self._replies.append(Reply(topic, id_, to_bytes(reply), arrived.correlation))
        self._ring()


def _is_fit(topic: str) -> bool:
    """A topic that can be published to, and is no command's: a reply must not become one."""
    is_plain = 0 < len(topic.encode()) <= 1024 and not set(topic) & set("+#\0")
    return is_plain and "/cmd/" not in topic and not topic.startswith("$")
