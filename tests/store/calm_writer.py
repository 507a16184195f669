"""A small device to which little happens: most of what it writes is deferred. As `writer.py`.

`python calm_writer.py STATE [MINUTES]`: prints a line only after what it tells of is written down:
`noted ID SEQ`, `sent SEQ`; of the alert of every ninth minute `opened ID SEQ`, `closed ID SEQ`.
"""

import itertools
import sys
from pathlib import Path

from writer import closed, closing, event, flush, opening, say

from edge_agent.store.record import open_store
from edge_agent.store.rows import Batch, Draft, Summary


def note(number, boot):
    """A summary and its message."""
    began, body = 60.0 * number, f'{{"pipeline": "people", "number": {number}}}'
    return Batch(
        messages=(Draft(f"summary/{boot}/{number}", "summary", began, body),),
        summaries=(Summary("people", began, began + 60, body),),
    )


def main(state, minutes=""):
    store = open_store(Path(state))
    boot = store.start().boot
    say("boot", boot)
    sent = 0
    for number in range(int(minutes)) if minutes else itertools.count():
        with store.database.deferred():
            (seq,) = store.record(note(number, boot))
            store.record(flush(number))
        if sent:
            say("sent", sent)
        say("noted", f"summary/{boot}/{number}", seq)
        store.outbox.acknowledge([seq])
        sent = seq
        if number % 9 == 8:
            one = event(number, boot)
            (seq,) = store.record(opening(one))
            say("opened", one.id, seq)
            (seq,) = store.record(closing(closed(one)))
            say("closed", one.id, seq)


if __name__ == "__main__":
    main(*sys.argv[1:])
