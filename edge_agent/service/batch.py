"""Many inputs at once: one process an input, as many as there are cores, results in input order.

Every process is a fresh Python (spawn): engines and their threads do not survive a fork.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge_agent.config.effective import load_effective
from edge_agent.service.replay import Replayed, Wishes, replay
from edge_agent.service.report import merged_report
from edge_agent.sources.built_in import SCHEME


def replay_all(
    inputs: Sequence[str], config: Path, wishes: Wishes, done: Callable[[], None]
) -> Iterator[Replayed]:
    """Each input's result, in the order of `inputs`; `done` is called as each one ends."""
    names = short_names(inputs)
    if len(inputs) == 1:
        yield replay(inputs[0], names[0], load_effective(config, wishes.over), wishes)
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
            uri if uri.startswith(SCHEME) else "/".join(Path(uri).parts[-depth:]) for uri in inputs
        )
        if len(set(names)) == len(names):
            break
    return names


def merged(parts: Sequence[Replayed], wall_s: float) -> dict[str, Any]:
    """The one report of many inputs."""
    if len(parts) == 1:
        return parts[0].report
    return merged_report([part.report for part in parts], [part.meters for part in parts], wall_s)


def _one(uri: str, name: str, config: Path, wishes: Wishes) -> Replayed:
    return replay(uri, name, load_effective(config, wishes.over), wishes)


def _quiet() -> None:
    """What `__main__` says to FFmpeg and OpenCV, in the children too; ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
