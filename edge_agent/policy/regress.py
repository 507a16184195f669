"""The site's own regression gate: what pinned cases must give, and what they gave.

Pure. A case is a recording of this site with the alarms that it must raise; none for a recording of
nothing. Rules:

* An alarm is found again when one of the same rule, label and zone opens within `TOLERANCE_S`; each
  answers for one.
* One that is lost, or one more than there should be, refuses what is judged.
* What a case raised wrongly when it was pinned (`flaws`) is no reproach to what still does.

Read `service/regress.py` next.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.frozen import frozen

#: A model that sees a little earlier or later is no other judgement.
TOLERANCE_S = 2.0


@frozen
class Alarm:
    """`at` is seconds from the beginning of the recording to its opening."""

    rule: str
    label: str | None
    zone: str | None
    at: float

    @property
    def text(self) -> str:
        where = f" in {self.zone}" if self.zone else ""
        what = f" ({self.label}{where})" if self.label or self.zone else ""
        return f"{self.rule}{what} at {self.at:.1f} s"


@frozen
class Expectation:
    """What a case must give, and what is known to be wrong with it."""

    alarms: tuple[Alarm, ...]
    flaws: tuple[Alarm, ...] = ()


@frozen
class Verdict:
    """`lost` and `new` refuse; `mended` flaws are told."""

    lost: tuple[Alarm, ...]
    new: tuple[Alarm, ...]
    mended: tuple[Alarm, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.lost and not self.new


def judge(expected: Expectation, found: Sequence[Alarm]) -> Verdict:
    """Compare what a case gave with what it must give."""
    lost, rest = _match(expected.alarms, found)
    mended, new = _match(expected.flaws, rest)
    return Verdict(lost, new, mended)


def _match(
    wanted: Sequence[Alarm], found: Sequence[Alarm]
) -> tuple[tuple[Alarm, ...], tuple[Alarm, ...]]:
    """What of `wanted` was not found, and what of `found` answers for none. In order of time the
    earliest that fits is taken, which leaves the fewest over."""
    missing = []
    rest = sorted(found, key=_order)
    for alarm in sorted(wanted, key=_order):
        match = next((other for other in rest if _same(alarm, other)), None)
        if match is None:
            missing.append(alarm)
        else:
            rest.remove(match)
    return tuple(missing), tuple(rest)


def _order(alarm: Alarm) -> tuple[float, str, str, str]:
    return (alarm.at, alarm.rule, alarm.label or "", alarm.zone or "")


def _same(one: Alarm, other: Alarm) -> bool:
    about = (one.rule, one.label, one.zone) == (other.rule, other.label, other.zone)
    return about and abs(one.at - other.at) <= TOLERANCE_S
