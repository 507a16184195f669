"""Decisions in words: one plain line a stage, with its numbers and units, in 80 columns.

Every stage has its own phrase: the gate's by the reason of its verdict, the model's, and those of
the rules. Long names are cut, so that the numbers after them always stand there. A stage that is
not known here (another version wrote it) is told by the names of its numbers. `docs/rules.md` lists
the stages of the rules and what their numbers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unicodedata import combining, east_asian_width

from edge_agent.types import Decision, Number, Numbers

COLUMNS = 80
#: Columns that one name may take within a line.
NAME_COLUMNS = 24


def explain(decisions: Sequence[Decision]) -> tuple[str, ...]:
    """One line a decision; when the last one stopped it, a line that says so."""
    lines = [_line(decision) for decision in decisions]
    if decisions and decisions[-1].verdict == "stop":
        lines.append(clip(f"nothing was raised: it stopped at {decisions[-1].stage}"))
    return tuple(lines)


def clip(text: str, columns: int = COLUMNS) -> str:
    """The text, cut with an ellipsis where it is wider than that on a terminal.

    Wide characters (UAX 11: W and F) take two columns, combining ones none.
    """
    if width(text) <= columns:
        return text
    used = 0
    for index, character in enumerate(text):
        used += width(character)
        if used > columns - 1:
            return text[:index] + "…"
    return text


def width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    return sum(
        0 if combining(character) else 1 + (east_asian_width(character) in "WF")
        for character in text
    )


def _line(decision: Decision) -> str:
    try:
        told = _told(decision)
    except KeyError:  # another version knew another stage, or kept other numbers
        told = _plain(decision)
    return clip(f"{decision.verdict:<6} {told}")


def _told(decision: Decision) -> str:
    numbers = decision.numbers
    match decision.stage:
        case "gate":
            return f"gate: {_GATE[decision.verdict, str(numbers['reason'])](numbers)}"
        case "infer":
            return _infer(numbers)
        case stage:
            return _PHRASES[stage](numbers)


def _plain(decision: Decision) -> str:
    """By the names of its numbers."""
    numbers = ", ".join(f"{name} {_number(n)}" for name, n in decision.numbers.items())
    return f"{decision.stage}: {numbers}" if numbers else decision.stage


def _number(value: Number) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)


def _name(value: Number) -> str:
    return clip(str(value), NAME_COLUMNS)


# --- the phrases of the gate and of the model ----------------------------------------------------


def _every(n: Numbers) -> str:
    return f"every frame (motion: false), {_since(n)}"


def _keepalive(n: Numbers) -> str:
    if n["since_inferred_s"] is None:
        return "the first frame"
    return f"keepalive, {_since(n)}, needs {_seconds(n['keepalive_s'])}"


def _motion(n: Numbers) -> str:
    if n["change"] in ("first", "scene"):
        return "motion, another picture than before"
    return f"motion, {_changed(n)}"


def _closed(n: Numbers) -> str:
    return f"outside the schedule {_name(n['window'])}, local time {n['local']}"


def _stale(n: Numbers) -> str:
    allowed = f"allowed {_seconds(n['max_age_s'])}"
    return f"stale, the frame was {_seconds(n['age_s'])} old when its turn came, {allowed}"


def _rate(n: Numbers) -> str:
    return f"sooner than max_fps {_number(n['max_fps'])}, {_since(n)}"


def _heat(n: Numbers) -> str:
    level = f"heat level {n['level']} ({_name(n['heat'])})"
    return f"{level}, {_since(n)}, max_fps {_number(n['max_fps'])}"


def _changed(n: Numbers) -> str:
    light = f"; light gain {_number(n['gain'])}" if n["change"] == "global" else ""
    return f"area {_number(n['area'])} changed, needs {_number(n['threshold'])}{light}"


def _since(n: Numbers) -> str:
    since = n["since_inferred_s"]
    return "none inferred yet" if since is None else f"{_number(since)} s since the last inferred"


#: By verdict and reason: what lets a frame through, what keeps it back.
_GATE: dict[tuple[str, str], Callable[[Numbers], str]] = {
    ("pass", "every"): _every,
    ("pass", "keepalive"): _keepalive,
    ("pass", "motion"): _motion,
    ("pass", "settle"): lambda n: f"settling what was found, {_changed(n)}",
    ("skip", "paused"): lambda n: "paused (edge-agent resume)",
    ("skip", "schedule"): _closed,
    ("skip", "stale"): _stale,
    ("skip", "rate"): _rate,
    ("skip", "thermal"): _heat,
    ("skip", "quality"): lambda n: f"the picture is {n['trouble']}, {_tones(n)}",
    ("skip", "motion"): lambda n: f"no motion, {_changed(n)}",
    ("skip", "stationary"): lambda n: f"in standing objects only, {_changed(n)}",
}


def _infer(n: Numbers) -> str:
    if not n["detections"]:
        return "model: 0 detections"
    many = "detection" if n["detections"] == 1 else "detections"
    return f"model: {n['detections']} {many}, best score {_number(n['best_score'])}"


# --- the phrases of the stages -----------------------------------------------------------------


def _label(n: Numbers) -> str:
    if "label" not in n:
        return f"label: none seen, wanted {_name(n['wanted'])}, tracks of any label {n['tracks']}"
    return f"label {_name(n['label'])}: wanted {_name(n['wanted'])}"


def _score(n: Numbers) -> str:
    if "above" in n:
        of = f" of {_name(n['label'])}" if n["label"] else ""
        if n["score"] is None:
            return f"score{of}: nothing found, needs more than {_number(n['above'])}"
        return f"score{of} {_number(n['score'])}: needs more than {_number(n['above'])}"
    return f"score {_number(n['score'])}: needs {_number(n['min'])}"


def _area(n: Numbers) -> str:
    limits = [
        f"{word} {_number(n[key])}"
        for key, word in (("min", "at least"), ("max", "at most"))
        if n[key] is not None
    ]
    return f"area {_number(n['area'])} of the frame: needs {' and '.join(limits)}"


def _mask(n: Numbers) -> str:
    return f"object mask: anchor {_point(n)}"


def _zone(n: Numbers) -> str:
    where = f"{_number(n['distance'])} of the frame away" if n["distance"] else "inside"
    return f"zone {_name(n['zone'])}: anchor {_point(n)} {where}"


def _line_stage(n: Numbers) -> str:
    wanted = "either way" if n["wanted"] == "both" else n["wanted"]
    if n["crossed"]:
        return f"line {_name(n['line'])}: crossed {n['crossed']}, wanted {wanted}"
    away = f"{_number(n['distance'])} of the frame away"
    return f"line {_name(n['line'])}: not crossed, anchor {_point(n)} {away}"


def _confirm(n: Numbers) -> str:
    return f"confirm {n['hits']} of {n['need']}: needs {n['need']} of {n['of']} inferred frames"


def _dwell(n: Numbers) -> str:
    return f"dwell {_seconds(n['s'])}: needs {_seconds(n['need_s'])}"


def _count(n: Numbers) -> str:
    return f"count {n['count']} {_where(n)}: needs {n['need']} of label {_name(n['label'])}"


def _absence(n: Numbers) -> str:
    now = f"{n['present']} of label {_name(n['label'])} {_where(n)}"
    return f"absence {_seconds(n['s'])}: needs {_seconds(n['need_s'])}, now {now}"


def _switch(n: Numbers) -> str:
    if n["label"] is None:
        return f"switch: no class seen, the last was {_name(n['before'] or 'none')}"
    if n["before"] is None:
        return f"switch: {_name(n['label'])} is the first class, it follows none"
    if n["label"] == n["before"]:
        return f"switch: still {_name(n['label'])}, wanted {_name(n['wanted'])}"
    return f"switch: {_name(n['label'])} after {_name(n['before'])}, wanted {_name(n['wanted'])}"


def _schedule(n: Numbers) -> str:
    clock = "" if n["clock"] == "synced" else ", open: the clock is unsynced"
    return f"schedule {_name(n['window'])}: local time {n['local']}{clock}"


def _cooldown(n: Numbers) -> str:
    last = "no opening yet" if n["since_s"] is None else f"{_seconds(n['since_s'])} since the last"
    return f"cooldown of the {n['scope']}: {last}, needs {_seconds(n['need_s'])}"


def _max_per_hour(n: Numbers) -> str:
    return f"max_per_hour: {n['opened']} opened in the last hour, allowed {n['max']}"


def _camera(n: Numbers) -> str:
    lasted = f"camera {n['trouble']} {_seconds(n['s'])}: needs {_seconds(n['need_s'])}"
    match n["trouble"]:
        case "blurred":
            return f"{lasted}, soft {_number(n['soft'])} of its detail"
        case "moved":
            return f"{lasted}, edges lost {_number(n['lost'])}, kept {_number(n['kept'])}"
    return f"{lasted}, {_tones(n)}"


def _tones(n: Numbers) -> str:
    soft = f", soft {_number(n['soft'])}" if "soft" in n else ""
    return f"grey {_number(n['level'])}, spread {_number(n['spread'])}{soft}"


def _store(n: Numbers) -> str:
    return f"store: event {n['event']} was given up, {n['reason']}"


def _where(n: Numbers) -> str:
    return f"in zone {_name(n['zone'])}" if n["zone"] else "in the picture"


def _point(n: Numbers) -> str:
    return f"{n['x']:.2f},{n['y']:.2f}"


def _seconds(value: Number) -> str:
    return f"{value:.1f} s"


_PHRASES: dict[str, Callable[[Numbers], str]] = {
    "label": _label,
    "score": _score,
    "area": _area,
    "mask": _mask,
    "zone": _zone,
    "line": _line_stage,
    "confirm": _confirm,
    "dwell": _dwell,
    "count": _count,
    "absence": _absence,
    "camera": _camera,
    "switch": _switch,
    "schedule": _schedule,
    "cooldown": _cooldown,
    "max_per_hour": _max_per_hour,
    "store": _store,
}

#: Every stage that the rules decide.
STAGES = tuple(stage for stage in _PHRASES if stage != "store")
