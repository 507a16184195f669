"""A receipt of the desk makes messages delivered: `edge-agent outbox ack RECEIPT`.

Rules: it is checked whole before anything is marked. It must be undamaged, name this device and
this store, and bear the right tag of every message that is still here, which only somebody who has
the message can make. What a receipt confirms is then treated as acknowledged by a broker: kept
until the quota needs the room. Reading the same receipt again changes nothing.
"""

from __future__ import annotations

from pathlib import Path

from edge_agent.errors import Refused, UsageError
from edge_agent.frozen import frozen
from edge_agent.host.removable import read_plain, stick_errors
from edge_agent.policy import spans, stick
from edge_agent.policy.stick import Damaged, Receipt
from edge_agent.store.query import Reader
from edge_agent.store.record import Store
from edge_agent.types import Message

#: A million messages make 16 MB of tags.
LONGEST_RECEIPT = 64_000_000
BATCH = 200


@frozen
class Acknowledged:
    """`confirmed` still waited, `known` were delivered before, `gone` are not here any more."""

    confirmed: int
    known: int
    gone: int


def find_receipt(path: Path, store: str) -> Path:
    """The receipt itself, or the one for this store on the stick. Raises UsageError."""
    with stick_errors(path):
        if path.is_dir():
            path = path / stick.FOLDER / store / stick.RECEIPT
        if not path.exists():
            raise UsageError(
                f"there is no receipt {path}", "at the desk: edge-fleet collect --from DIR"
            )
    return path


def load_receipt(path: Path) -> Receipt:
    """Raises Refused for a damaged one."""
    with stick_errors(path):
        content = read_plain(path, LONGEST_RECEIPT)
    if content is None:
        raise Refused(f"{path} is no receipt: not a file of at most {LONGEST_RECEIPT} bytes")
    try:
        return stick.read_receipt(content)
    except Damaged as fault:
        raise Refused(f"the receipt is damaged: {fault}", _AGAIN) from None


def acknowledge(store: Store, reader: Reader, receipt: Receipt) -> Acknowledged:
    """Check all of it, then mark. Raises Refused, and nothing is marked then."""
    waiting, known = _checked(reader, receipt)
    for first, last in waiting:
        for at in range(first, last + 1, BATCH):
            store.outbox.acknowledge(range(at, min(at + BATCH, last + 1)))
    store.outbox.settle()
    confirmed = spans.count(waiting)
    return Acknowledged(confirmed, known, spans.count(receipt.seqs) - confirmed - known)


def _checked(reader: Reader, receipt: Receipt) -> tuple[spans.Spans, int]:
    """The seqs that wait, and how many more are here."""
    identity, device = reader.identity(), reader.device()
    if receipt.store != identity.store or (device is not None and receipt.device != device):
        raise Refused(
            f"the receipt is for device {receipt.device}, store {receipt.store[:8]};"
            f" this is {device or 'one without a name'}, store {identity.store[:8]}",
            "take it to the device that it names",
        )
    last = reader.depth().last_seq
    if receipt.seqs and receipt.seqs[-1][1] > last:
        raise Refused(
            f"the receipt confirms message {receipt.seqs[-1][1]}, and this store has given"
            f" no number beyond {last}",
            _AGAIN,
        )
    tags = dict(zip(spans.numbers(receipt.seqs), receipt.tags, strict=True))
    waiting: spans.Spans = ()
    known = 0
    for first, end in receipt.seqs:
        for at in range(first, end + 1, BATCH):
            until = min(at + BATCH - 1, end)
            here = {message.seq for message in _verified(reader, (at, until), tags)}
            unsent = reader.unsent_between(at, until)
            waiting += unsent
            known += len(here) - spans.count(unsent)
    return spans.joined(waiting), known


def _verified(reader: Reader, span: spans.Span, tags: dict[int, str]) -> list[Message]:
    store = reader.identity().store
    messages = reader.messages(*span)
    for message in messages:
        assert message.seq is not None  # a row of the outbox
        tag = stick.tag(store, message.seq, message.id, message.topic, message.body)
        if tags[message.seq] != tag:
            raise Refused(
                f"the receipt is not for what this device holds: message {message.seq} differs",
                _AGAIN,
            )
    return messages


_AGAIN = "nothing was marked; export again, and collect again at the desk"
