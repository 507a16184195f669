"""Many inputs at once: one process an input, as many as there are cores, results in input order.

Every process is a fresh Python (spawn): engines and their threads do not survive a fork.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_agent.config.load import load
from edge_agent.host.process import cpu_s, pss_mb
from edge_agent.service.ledger import total
from edge_agent.service.meter import STAGES
from edge_agent.service.replay import Replayed, Wishes, replay
from edge_agent.service.report import assembled, frames_document
from edge_agent.types import Ledger


def replay_all(
    inputs: Sequence[str], config: Path, wishes: Wishes, done: Callable[[], None]
) -> Iterator[Replayed]:
    """Each input's result, in the order of `inputs`; `done` is called as each one ends."""
    names = short_names(inputs)
    if len(inputs) == 1:
        yield replay(inputs[0], names[0], load(config), wishes)
        done()
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    workers = min(len(inputs), len(os.sched_getaffinity(0)))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet) as pool:
        results = [
            pool.submit(_one, uri, name, config, wishes)
            for uri, name in zip(inputs, names, strict=True)
        ]
        for result in results:
            result.add_done_callback(lambda _: done())
        try:
            for result in results:
                yield result.result()
        except BaseException:
            # One input is wrong, or ctrl-C: what has not begun need not begin.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def short_names(inputs: Sequence[str]) -> tuple[str, ...]:
    """What documents call each input: its file's name, with as many folders as tell two apart."""
    for depth in range(1, 16):
        names = tuple(
            uri if uri.startswith("built-in:") else "/".join(Path(uri).parts[-depth:])
            for uri in inputs
        )
        if len(set(names)) == len(names):
            break
    return names


def merged_report(parts: Sequence[Replayed], wall_s: float) -> dict[str, Any]:
    """One report of many: sums; what differs between inputs is null."""
    if len(parts) == 1:
        return parts[0].report
    reports = [part.report["pipelines"] for part in parts]
    pipelines = {name: _merged([report[name] for report in reports]) for name in reports[0]}
    costs = {
        "wall_s": round(wall_s, 3),
        "cpu_s": round(cpu_s(), 3),
        "rss_mb": round(max([pss_mb(), *(part.report["rss_mb"] for part in parts)]), 1),
        "written_mb": round(sum(part.report["written_mb"] for part in parts), 3),
    }
    return assembled(pipelines, costs)


def _merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    frames = total([Ledger(**part["frames"]) for part in parts])
    return {
        **parts[0],
        "frames": frames_document(frames),
        "events": {key: sum(part["events"][key] for part in parts) for key in ("opened", "closed")},
        "latency_ms": dict.fromkeys(STAGES),
        "invoke_fps": None,
        "efficiency": None,
    }


def _one(uri: str, name: str, config: Path, wishes: Wishes) -> Replayed:
    return replay(uri, name, load(config), wishes)


def _quiet() -> None:
    """What `__main__` says to FFmpeg and OpenCV, in the children too; ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
