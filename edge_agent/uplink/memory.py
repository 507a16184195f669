"""An outbox in memory: the port of `outbox.py` without a store, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from edge_agent.frozen import frozen
from edge_agent.policy.lost import Reason, lost_document
from edge_agent.types import Message
from edge_agent.uplink.outbox import URGENT


@frozen
class MemoryDepth:
    depth: int
    oldest_seq: int | None
    newest_seq: int | None
    last_seq: int


class MemoryOutbox:
    """Rows by seq, in order. `acknowledged` keeps the seqs in the order of acknowledgement."""

    def __init__(self, boot: int = 1) -> None:
        self.rows: dict[int, Message] = {}
        self.acknowledged: list[int] = []
        self.commits = 0
        self._boot = boot
        self._last_seq = 0

    def put(self, topic: str, body: Mapping[str, Any], time: float) -> Message:
        """Append one message with the next seq."""
        self._last_seq += 1
        message = Message(
            seq=self._last_seq,
            id=f"{self._last_seq:016x}/open",
            topic=topic,
            qos=1,
            retain=False,
            time=time,
            body=body,
            boot=self._boot,
        )
        self.rows[self._last_seq] = message
        return message

    def pending(self, limit: int, after: int, urgent: bool | None = None) -> Sequence[Message]:
        first = next(iter(self.rows), self._last_seq)
        seqs = range(max(first, after + 1), self._last_seq + 1)
        rows = (row for seq in seqs if (row := self.rows.get(seq)) is not None)
        return list(islice((row for row in rows if urgent in (None, row.topic in URGENT)), limit))

    def acknowledge(self, seqs: Sequence[int]) -> None:
        self.commits += 1
        self.acknowledged.extend(seqs)
        for seq in seqs:
            self.rows.pop(seq, None)

    def give_up(self, seqs: Sequence[int], reason: Reason, time: float) -> int | None:
        rows = [(seq, self.rows[seq].topic) for seq in sorted(seqs) if seq in self.rows]
        rows = [row for row in rows if row[1] != "lost"]
        if not rows:
            return None
        for seq, _ in rows:
            del self.rows[seq]
        return self.put("lost", lost_document(rows, reason), time).seq

    def depth(self) -> MemoryDepth:
        seqs = list(self.rows)
        oldest, newest = (seqs[0], seqs[-1]) if seqs else (None, None)
        return MemoryDepth(len(seqs), oldest, newest, self._last_seq)
