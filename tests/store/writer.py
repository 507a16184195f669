"""A small device: records alerts on a store until it is killed. Run by the tests as a program.

`python writer.py STATE [ALERTS [STATEMENT...]]`: prints a line only after the commit it tells of:
`boot N`, `opened ID SEQ`, `closed ID SEQ`, `sent SEQ`, `interrupted ID SEQ`. ALERTS: so many and
no more; the statements are SQL that is said to the connection before.
"""

import hashlib
import itertools
import sys
from dataclasses import replace
from pathlib import Path

from edge_agent.policy.documents import About, dump, event_document
from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft, FramesRow, Judged, Opened
from edge_agent.types import Decision, Event, Priority

ABOUT = About("person-detector", "1.2.0", "ab" * 32, "litert 2.3.0", "cd" * 32)
WHY = (
    Decision("gate", "infer", {"changed": 0.0132, "threshold": 0.004}),
    Decision("score", "pass", {"score": 0.7312, "needed": 0.5}),
    Decision("zone", "inside", {"x": 0.412, "y": 0.733}),
    Decision("confirm", "pass", {"hits": 3, "needed": 3, "of": 5}),
    Decision("dwell", "pass", {"held_s": 2.1, "needed_s": 2.0}),
    Decision("cooldown", "pass", {"since_s": None, "needed_s": 60.0}),
)
#: What one alert is in the tests; `event` changes what it is told to.
ALERT = Event(
    id="",
    pipeline="people",
    source="dock",
    rule="person-in-gate",
    priority=Priority.ALERT,
    label="person",
    zone="gate",
    text="a person is in the gate",
    opened=0.0,
    seen=0.0,
    closed=None,
    close_reason=None,
    score_max=0.8123,
    score_median=0.7321,
    track=3,
    count=1,
    box=(0.1234, 0.2345, 0.3456, 0.4567),
    frame=0,
    decisions=WHY,
    advice="close the gate",
)


def event(number, of="", **changes):
    """Alert `number`, one every ten seconds; its id follows from the number and from `of`."""
    id_ = hashlib.blake2b(f"{of}/{number}".encode(), digest_size=8).hexdigest()
    opened = 1_700_000_000.25 + 10 * number
    return replace(
        ALERT, **{"id": id_, "opened": opened, "seen": opened, "frame": number} | changes
    )


def closed(event, reason="cleared", after=4.5):
    end = event.opened + after
    return replace(event, seen=end - 1, closed=end, close_reason=reason, score_max=0.9)


def message(event):
    """The alert that tells of the event as it is: open or closed."""
    document = event_document(event, ABOUT)
    del document["decisions"]
    phase, time = ("open", event.opened) if event.closed is None else ("close", event.closed)
    return Draft(f"{event.id}/{phase}", "alert", time, dump(document | {"phase": phase}), 0)


def opening(event):
    return Batch(opened=(Opened(event, ABOUT),), messages=(message(event),))


def closing(event):
    return Batch(closed=(event,), messages=(message(event),))


def flush(number):
    row = FramesRow("people", 60.0 * number, 60.0 * number + 60, 5, {"motion": 290, "rate": 4}, 1)
    miss = Judged("miss", "people", 60.0 * number, number, WHY[:2], "person-in-gate", 7, "person")
    return Batch(frames=(row,), judged=(miss,))


def main(state, alerts="", *statements):
    store = open_store(Path(state))
    for statement in statements:
        store.database.connection.execute(statement)
    boot = store.start().boot
    say("boot", boot)
    interrupted = store.interrupt_open(lambda stored: message(stored.event))
    for stored in interrupted:
        say("interrupted", stored.event.id)
    for number in range(int(alerts)) if alerts else itertools.count():
        one = event(number, boot)
        (seq,) = store.record(opening(one))
        say("opened", one.id, seq)
        store.outbox.acknowledge([seq])
        if number % 3 == 0:
            store.record(flush(number))
            say("sent", seq)
        if number % 5:
            (seq,) = store.record(closing(closed(one)))
            say("closed", one.id, seq)


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")  # one call: a line is told whole
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
