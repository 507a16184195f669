"""When a repository is looked at again, and when a check waits for the clock.

Pure: times and the random number are handed in. A fleet that was switched on together spreads over
a tenth of the interval. Only what another attempt may turn is tried again soon; a refusal and an
HTTP 4xx get the same answer again, and wait for the next regular check.
"""

from __future__ import annotations

from enum import StrEnum

from edge_agent.policy.backoff import Backoff

#: A board that no time server ever reaches checks all the same after so long, by the floor of its
#: package's build time and what it last trusted.
CLOCK_PATIENCE_S = 3600.0
_SPREAD = 0.1


class Outcome(StrEnum):
    GOOD = "good"
    UNREACHABLE = "unreachable"  # may be another in a minute
    REFUSED = "refused"  # a signature, an expiry, an HTTP 4xx: is the same in a minute


def first_wait(every_s: float, random: float) -> float:
    """After a start: within five minutes, so that a restart is no way around the interval."""
    return min(every_s, 300.0) * random


def next_wait(outcome: Outcome, failures: int, every_s: float, random: float) -> float:
    """Seconds until the next check; `failures` in a row, this one included."""
    if outcome is Outcome.UNREACHABLE:
        backoff = Backoff(base_s=30.0, cap_s=every_s, floor_s=min(10.0, every_s), failures=failures)
        return backoff.delay(random)
    return every_s * (1.0 - _SPREAD + 2 * _SPREAD * random)


def waits_for_clock(*, online: bool, synced: bool, running_s: float) -> bool:
    """An unsynced clock postpones a check over the network, not one of a stick, not for ever."""
    return online and not synced and running_s < CLOCK_PATIENCE_S
