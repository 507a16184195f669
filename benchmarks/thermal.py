"""How well the thermal governor keeps a board at its target, beside none and a plain switch.

    python benchmarks/thermal.py [--plot docs/thermal.svg] [--seeds N]

Simulated boards (`edge_agent.host.fake_board`) live through a day of sun and load at ambients from
20 to 60 C. A line of the table is the worst of all seeds: the most above the target, the farthest
from it in the second half of each span in which heat limits, changes of point a day and the
shortest time between two, inferences in percent of those that the best constant rates would have
made, and the seconds in which the kernel slowed the board down. `threads` is the governor with a
model whose answer costs half as much on one thread: threads go before rates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from figures import tell

from edge_agent.host.fake_board import JETSON_ORIN_NANO, RASPBERRY_PI_4, BoardSpec, FakeBoard
from edge_agent.host.fake_day import DAY, Governed, Record, Steering, Switch, Task, Ungoverned, live
from edge_agent.policy.shares import Demand
from edge_agent.policy.thermal import ThermalSpec

SPEC = ThermalSpec(target_c=75.0, min_fps=0.5)
COST_S = 0.2
HALF = 0.5
AMBIENTS = (20.0, 30.0, 40.0, 50.0, 60.0)
#: What is asked of each board, in busy cores: nearly all that it has.
BOARDS = ((RASPBERRY_PI_4, 3.5), (JETSON_ORIN_NANO, 5.0))
STEERINGS: dict[str, Callable[[], Steering]] = {
    "governor": lambda: Governed(SPEC),
    "switch": lambda: Switch(SPEC),
    "none": Ungoverned,
}
#: The day that is drawn: board, ambient.
DRAWN = (RASPBERRY_PI_4, 60.0)


@dataclass(frozen=True)
class Case:
    board: BoardSpec
    cores: float
    ambient: float
    steering: str
    seed: int
    #: What an inference costs on one thread, of what it costs on those that were chosen.
    single: float | None = None


def run(case: Case) -> Record:
    board = FakeBoard(case.board, ambient_c=case.ambient, seed=case.seed)
    single_s = None if case.single is None else case.single * COST_S
    task = Task(SPEC, Demand("p", 0, case.cores / COST_S, COST_S, single_s))
    return live(board, STEERINGS[case.steering](), task)


def worst(records: Sequence[Record]) -> str:
    gaps = [each.shortest_gap_s for each in records if each.shortest_gap_s is not None]
    hours = sum(hour.seconds for hour in DAY) / 3600
    changes = max(each.changes for each in records) * 24 / hours
    return (
        f"{max(each.over_c for each in records):5.2f} "
        f"{max(each.steady_c for each in records):6.2f} "
        f"{changes:8.0f} {min(gaps, default=0):5.0f} "
        f"{100 * min(each.part for each in records):7.1f} "
        f"{max(each.throttled_s for each in records):9.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    drawn: dict[str, Record] = {}
    ours: list[Record] = []
    lighter: list[Record] = []
    with ProcessPoolExecutor(2) as pool:
        for board, cores in BOARDS:
            print(f"\n{board.name}, {cores:g} of {board.cores} cores wanted, target 75 C")
            print("ambient  by         over  steady  changes   gap  part %  throttled")
            for ambient in AMBIENTS:
                for steering in STEERINGS:
                    seeds = range(1, options.seeds + 1 if steering == "governor" else 2)
                    cases = [Case(board, cores, ambient, steering, seed) for seed in seeds]
                    records = list(pool.map(run, cases))
                    print(f"{ambient:4.0f} C   {steering:9s} {worst(records)}", flush=True)
                    if steering == "governor":
                        ours += records
                    if (board, ambient) == DRAWN:
                        drawn[steering] = records[0]
                cases = [Case(board, cores, ambient, "governor", 1, HALF)]
                lighter += pool.map(run, cases)
                print(f"{ambient:4.0f} C   threads   {worst(lighter[-1:])}", flush=True)
    print()
    verdicts(ours)
    over, part = max(each.over_c for each in lighter), min(each.part for each in lighter)
    tell("heat: threads before rates, above the target", over, 1.5, "K")
    tell("heat: threads before rates, of the best rate", 100 * part, 95.0, "%", least=True)
    if options.plot is not None:
        options.plot.write_text(svg(drawn), encoding="utf-8")


def verdicts(records: Sequence[Record]) -> None:
    """What was promised of the governor, over all boards, ambients and seeds."""
    gaps = [each.shortest_gap_s for each in records if each.shortest_gap_s is not None]
    tell("heat: above the target", max(each.over_c for each in records), 1.5, "K")
    tell("heat: steady within", max(each.steady_c for each in records), 1.0, "K")
    tell("heat: between two changes", min(gaps), 60.0, "s", least=True)
    part = 100 * min(each.part for each in records)
    tell("heat: of the best constant rate", part, 95.0, "%", least=True)
    tell("heat: kernel throttling", max(each.throttled_s for each in records), 0.0, "s")


# --- the plot ------------------------------------------------------------------------------------

WIDTH, PANEL, LEFT, TOP, GAP = 900, 230, 60, 54, 62
COLOURS = {"governor": "#0b6e4f", "switch": "#c77700", "none": "#b3202c"}
WORDS = {"governor": "governor", "switch": "a switch at the target", "none": "no governor"}


def svg(records: dict[str, Record]) -> str:
    """Two panels over one day: the die's temperature, and the rate beside the best constant one."""
    hours = sum(hour.seconds for hour in DAY) / 3600
    top = TOP + PANEL + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + PANEL + 44}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{top + PANEL + 44}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="15">{DRAWN[0].name}, '
        f"{DRAWN[1]:.0f} °C outside; sun 2 W, load half a core: die (°C)</text>",
        f'<text x="{LEFT}" y="{top - 12}" font-size="15">inferences a second '
        "(grey: the best constant rate)</text>",
    ]
    heat = Panel(TOP, (66.0, 84.0), hours)
    rate = Panel(top, (0.0, 18.0), hours)
    parts += [*heat.frame(range(66, 85, 3)), *rate.frame(range(0, 19, 3))]
    parts += shades(heat, top + PANEL)
    parts.append(heat.level(SPEC.target_c, "target", "#555555"))
    parts.append(heat.level(DRAWN[0].trip_c, "the kernel throttles", "#b3202c"))
    best = [(time, each) for time, _, _, each in records["governor"].trace]
    parts.append(rate.line(best, "#9a9a9a", 3.0))
    for place, (name, record) in enumerate(reversed(records.items())):
        width = 1.8 if name == "governor" else 0.9
        parts.append(heat.line([(t, die) for t, die, _, _ in record.trace], COLOURS[name], width))
        parts.append(rate.line([(t, fps) for t, _, fps, _ in record.trace], COLOURS[name], width))
        x = LEFT + 250 * place
        parts.append(f'<rect x="{x}" y="30" width="14" height="10" fill="{COLOURS[name]}"/>')
        parts.append(f'<text x="{x + 20}" y="40">{WORDS[name]}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{top + PANEL + 36}">hours</text></svg>')
    return "\n".join(parts) + "\n"


def shades(panel: Panel, bottom: float) -> list[str]:
    """The spans of sun and of other load, behind the lines, with their names."""
    found, time = [], 0.0
    for hour in DAY:
        x, wide = panel.x(time), panel.x(time + hour.seconds) - panel.x(time)
        words = []
        if hour.sun_w:
            words.append("sun")
        if hour.other_cores:
            words.append("load")
        if words:
            tint = "#f3d98b" if hour.sun_w else "#c9d4ea"
            found.append(
                f'<rect x="{x:.1f}" y="{TOP}" width="{wide:.1f}" height="{bottom - TOP}" '
                f'fill="{tint}" opacity="0.35"/>'
            )
        label = " + ".join(words) or "calm"
        found.append(f'<text x="{x + 4:.1f}" y="{TOP + PANEL + 32}" fill="#555">{label}</text>')
        time += hour.seconds
    return found


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    top: float
    span: tuple[float, float]
    hours: float

    def x(self, time: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * time / 3600 / self.hours

    def y(self, value: float) -> float:
        low, high = self.span
        inside = min(high, max(low, value))
        return self.top + PANEL * (high - inside) / (high - low)

    def frame(self, ticks: range) -> list[str]:
        right = WIDTH - 20
        parts = [
            f'<rect x="{LEFT}" y="{self.top}" width="{right - LEFT}" height="{PANEL}" '
            'fill="none" stroke="#888"/>'
        ]
        for tick in ticks:
            y = self.y(tick)
            parts.append(
                f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>'
            )
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
        for hour in range(0, round(self.hours) + 1, 2):
            x, y = self.x(hour * 3600), self.top + PANEL
            parts.append(f'<text x="{x:.1f}" y="{y + 16}" text-anchor="middle">{hour}</text>')
        return parts

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> str:
        """Every point in which the line changes: what stays the same needs none between."""
        kept = [
            point
            for before, point, after in zip(
                [None, *points[:-1]], points, [*points[1:], None], strict=True
            )
            if before is None or after is None or not before[1] == point[1] == after[1]
        ]
        path = " ".join(f"{self.x(time):.1f},{self.y(value):.1f}" for time, value in thin(kept))
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    def level(self, value: float, word: str, colour: str) -> str:
        y = self.y(value)
        return (
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 20}" y2="{y:.1f}" stroke="{colour}" '
            f'stroke-dasharray="6 4"/><text x="{WIDTH - 26}" y="{y - 5:.1f}" text-anchor="end" '
            f'fill="{colour}">{word} {value:g} °C</text>'
        )


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The least and the most of each two minutes: no peak is lost, and the file stays small."""
    buckets: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        buckets.setdefault(int(point[0] // 120), []).append(point)
    kept: list[tuple[float, float]] = []
    for inside in buckets.values():
        ends = {
            min(inside, key=lambda point: point[1]),
            max(inside, key=lambda point: point[1]),
            inside[0],
            inside[-1],
        }
        kept += sorted(ends)
    return kept


if __name__ == "__main__":
    main()
