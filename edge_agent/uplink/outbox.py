"""What the way out asks of the rest of the agent: the outbox, a clock, and who is sending.

The store and the host implement these by shape; the uplink imports neither. Rows leave the outbox
only by `acknowledge` and, declared, by `give_up`, so a crash at any moment sends a row twice rather
than never. Read `outgoing.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from edge_agent.frozen import frozen
from edge_agent.policy.backoff import Backoff
from edge_agent.policy.correction import Correction
from edge_agent.policy.lost import Reason
from edge_agent.types import Message

#: Topics that leave first, and whatever the budget.
URGENT = frozenset({"alert", "lost"})


class Depth(Protocol):
    """How much waits: rows not yet sent, and the ends of their range (None when empty).

    `last_seq` is the newest number given so far, sent or not.
    """

    @property
    def depth(self) -> int: ...
    @property
    def oldest_seq(self) -> int | None: ...
    @property
    def newest_seq(self) -> int | None: ...
    @property
    def last_seq(self) -> int: ...


class Outbox(Protocol):
    """The store's table of sequenced messages. `depth` may be asked from any thread."""

    def pending(self, limit: int, after: int, urgent: bool | None = None) -> Sequence[Message]:
        """At most `limit` unsent messages with seq > `after`, in the order of seq: the urgent
        ones (alerts, `lost`), the others, or (None) all of them."""

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """The broker has these: `pending` never offers them again. What it raises ends `run`."""

    def give_up(self, seqs: Sequence[int], reason: Reason, time: float) -> int | None:
        """These can never be sent: drop them, and declare it in a `lost` message; its seq."""

    def depth(self) -> Depth: ...


class Clock(Protocol):
    """`host.clock.Clock`, by shape."""

    @property
    def correction(self) -> Correction: ...
    def now(self) -> float: ...
    def told(self, time: float) -> float: ...


@frozen
class BudgetFacts:
    """`mqtt.budget`: of how much, and how much left in the last day. Moments on our own clock."""

    mb_per_day: float
    sent_mb: float
    spent_since: float | None = None
    opens: float | None = None


class Meter(Protocol):
    """Counts what leaves; any thread may ask."""

    @property
    def is_spent(self) -> bool:
        """Only what is urgent may leave."""

    def sent(self, size: int) -> None:
        """So many bytes of MQTT, in either direction."""

    def doubt(self, seqs: Iterable[int]) -> None:
        """These left and were not answered: the receiver may have them."""

    def settled(self, seq: int) -> None:
        """This was answered."""

    def facts(self) -> BudgetFacts | None: ...


class Unmetered:
    """No budget, no account."""

    is_spent = False

    def sent(self, size: int) -> None:
        return

    def doubt(self, seqs: Iterable[int]) -> None:
        return

    def settled(self, seq: int) -> None:
        return

    def facts(self) -> None:
        return None


@frozen
class Identity:
    """Who sends: the same for the whole run of the agent."""

    device: str
    store: str
    boot: int
    version: str
    site: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"edge/v1/{self.device}"


@frozen
class Pace:
    """How fast and how patiently; seconds."""

    batch: int = 100  # rows read, and acknowledged, at once
    ack_every_s: float = 0.2  # the longest that an acknowledgement waits for company
    ack_timeout_s: float = 20.0  # a message without a PUBACK for so long ends the connection
    poll_s: float = 5.0  # the outbox is read so often even when nobody says that it grew
    rate_msgs: float | None = None  # of the backlog, a second; None: no limit
    tell_every_s: float = 30.0  # `health` tells how much of a backlog is left so often
    tell_sparing_s: float = 1800.0  # and of what waits for the budget
    retained_every_s: float = 1.0  # the shortest time between two messages of one retained topic
    state_bytes: float | None = None  # of the topic `state` in a day; None: no limit
    reconnect: Backoff = field(default_factory=Backoff)
    refused: Backoff = field(default_factory=lambda: Backoff(5.0, 300.0, floor_s=1.0))
    tries: int = 5  # refusals after which a message is set aside
