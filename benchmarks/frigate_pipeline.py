"""Frigate's whole way of a frame beside ours: motion, regions, detector, tracker; one thread, CPU.

Its own `process_frames` (frigate/video/detect.py) is run in place, from a checkout, with its own
configuration, motion detector, regions, NMS and norfair tracker at their defaults. Stood in for is
what lies between its processes: the queue and the shared memory that frames come in (a frame is
there at once), the queue to its detector process (the model is called directly), and the modules of
its imports that are not installed, none of which is part of a frame's way. Ours is `Pipeline.step`
as `run` takes it, gate and rules included, `max_fps: 0`. Both get every frame, in turns, and
the same detector: the YOLO model that is named, through our engine and decoder, whose time is told
apart. Decoding the video and, for Frigate, making its YUV frame are not counted.

    pip install norfair==2.3.0 imutils scipy ruamel.yaml pyzmq peewee setproctitle tzlocal pytz
    python benchmarks/frigate_pipeline.py CHECKOUT VIDEO YOLO
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import cv2
import numpy as np

from edge_agent.config.load import load
from edge_agent.pipeline.decode import decoder
from edge_agent.pipeline.prepare import preparer
from edge_agent.pipeline.step import Circumstances
from edge_agent.service.assemble import Site, assemble
from edge_agent.service.replay import calendar_of
from edge_agent.service.runner import stopwatch
from edge_agent.types import Frame

#: What a Frigate without its container does not find, and a frame's way does not need.
ABSENT = frozenset(
    [
        "py3nvml",
        "unidecode",
        "filelock",
        "py_vapid",
        "pywebpush",
        "titlecase",
        "onvif",
        "zeep",
        "sherpa_onnx",
        "librosa",
        "soundfile",
    ]
)
#: Written by its build.
VERSION = "frigate.version"
#: A bare model has no labels: its class 0 is a person, as of every model of COCO.
PERSON = "0"
LABELS = ("person", *(f"class {number}" for number in range(1, 80)))
WEAKEST = 0.4  # the threshold of its `RemoteObjectDetector.detect`
CONFIG = """\
sources: {{yard: {{kind: video, uri: {video}}}}}
pipelines:
  yard:
    source: yard
    model: {model}
    engine: litert
    threads: 1
    gate: {{max_fps: 0}}
    rules: [{{name: seen, label: "{person}", confirm: [3, 5], min_score: {weakest}}}]
"""


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes a module of whatever is asked of those that are absent."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name == VERSION or name.split(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        module: Any = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        return


class Cost:
    """CPU milliseconds of one side, frame by frame, and of its model by itself."""

    def __init__(self) -> None:
        self.frames: list[float] = []
        self.model_ms = 0.0
        self.invokes = 0
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.process_time()

    def end(self) -> None:
        self.frames.append((time.process_time() - self._began) * 1000)

    def inferring(self, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = work()
        self.model_ms += (time.process_time() - began) * 1000
        self.invokes += 1
        return found

    def told(self) -> str:
        mean, count = float(np.mean(self.frames)), len(self.frames)
        model = self.model_ms / count
        high = np.percentile(self.frames, 95)
        return (
            f"{mean:.2f} CPU-ms a frame (p95 {high:.2f}): {model:.2f} the model,"
            f" {self.invokes / count:.2f} times a frame; {mean - model:.2f} the rest"
        )


class Detector:
    """The model, as Frigate's process asks for it: a region in RGB, the best twenty findings."""

    def __init__(self, assembled: Any, cost: Cost) -> None:
        self._engine, self._cost = assembled.engine, cost
        self._prepare, self._decode = preparer(assembled.model), decoder(assembled.model)
        self.fps = SimpleNamespace(eps=lambda: 0.0)

    def detect(self, region: Any) -> list[Any]:
        return self._cost.inferring(lambda: self._found(region))  # type: ignore[no-any-return]

    def _found(self, region: Any) -> list[Any]:
        prepared = self._prepare(np.ascontiguousarray(region[0, :, :, ::-1]))
        found = self._decode(self._engine.invoke(prepared.tensor), prepared)
        best = [each for each in found if each.score >= WEAKEST][:20]
        return [
            (
                LABELS[int(each.label)],
                each.score,
                (each.box[1], each.box[0], each.box[3], each.box[2]),
            )
            for each in best
        ]


class Film:
    """The frames, as a queue and a memory of Frigate's; ours works on each while it waits."""

    def __init__(self, video: Path, cost: Cost, ours: Callable[[Any, int, float], None]) -> None:
        self._capture = cv2.VideoCapture(str(video))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 10.0
        self._cost, self._ours, self._index = cost, ours, 0
        self._yuv: Any = None

    def get(self, name: Any = False, *_: Any) -> Any:
        if isinstance(name, str):
            return self._yuv
        if self._index:
            self._cost.end()
        good, picture = self._capture.read()
        if not good:
            raise queue.Empty
        moment = self._index / self.fps
        self._ours(picture, self._index, moment)
        self._yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        self._index += 1
        self._cost.begin()
        return f"frame{self._index}", 1.7e9 + moment

    def close(self, name: str) -> None:
        return


def ours_of(video: Path, model: Path, cost: Cost) -> tuple[Any, Callable[[Any, int, float], None]]:
    """Our pipeline, its model counted, and the step of one frame."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(CONFIG.format(video=video, model=model, weakest=WEAKEST, person=PERSON))
        config = load(path)
        assembled = assemble(config, "yard", Site(Path(folder), Path(folder)), stopwatch)
    around, invoke = Circumstances(calendar_of(config)), assembled.engine.invoke
    assembled.engine.invoke = lambda tensor: cost.inferring(  # type: ignore[method-assign]
        lambda: invoke(tensor)
    )
    people: set[int] = set()

    def step(picture: Any, index: int, moment: float) -> None:
        cost.begin()
        outcome = assembled.pipeline.step(Frame("yard", index, moment, picture), around)
        cost.end()
        people.update(each.id for each in outcome.tracks if each.label == PERSON)

    return people, step


def theirs(checkout: Path, film: Film, detector: Detector, size: tuple[int, int]) -> int:
    """Run `process_frames` over the film; how many people it followed."""
    sys.path.insert(0, str(checkout))
    sys.meta_path.append(StandIns())
    from frigate.config import FrigateConfig
    from frigate.motion.improved_motion import ImprovedMotionDetector
    from frigate.track.norfair_tracker import NorfairTracker

    detect = importlib.import_module("frigate.video.detect")

    height, width = size
    stream = {"path": "rtsp://127.0.0.1/none", "roles": ["detect"]}
    camera = {
        "ffmpeg": {"inputs": [stream]},
        "detect": {"enabled": True, "width": width, "height": height, "fps": round(film.fps)},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as labels:
        labels.write("\n".join(LABELS))
        labels.flush()
        model = {"width": 192, "height": 192, "labelmap_path": labels.name}
        config = FrigateConfig(mqtt={"enabled": False}, cameras={"yard": camera}, model=model)
    yard = config.cameras["yard"]
    number = lambda: SimpleNamespace(value=0.0)  # noqa: E731 - of a shared memory
    ptz = MagicMock(frame_time=number(), start_time=number(), stop_time=number())
    ptz.autotracker_enabled.value = False
    ptz.stop_time.value = 0.0
    detect.CameraConfigUpdateSubscriber = lambda *_: MagicMock(check_for_updates=dict)
    tracker = NorfairTracker(yard, ptz)
    tracker.frame_manager = film
    followed: set[str] = set()
    sink = SimpleNamespace(
        full=lambda: False,
        put=lambda told: followed.update(
            each["id"] for each in told[3].values() if each["label"] == "person"
        ),
    )
    detect.process_frames(
        MagicMock(),
        film,
        size,
        config.model,
        yard,
        film,
        ImprovedMotionDetector(size, yard.motion, yard.detect.fps, name="yard"),
        detector,
        tracker,
        sink,
        MagicMock(),
        threading.Event(),
        ptz,
        [[{"sizes": [], "mean": None, "std_dev": None}] * 8 for _ in range(8)],
        exit_on_empty=True,
    )
    return len(followed)


def main(checkout: Path, video: Path, model: Path) -> None:
    cv2.setNumThreads(1)
    picture = cv2.VideoCapture(str(video)).read()[1]
    own, other = Cost(), Cost()
    people, step = ours_of(video, model, own)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(CONFIG.format(video=video, model=model, weakest=WEAKEST, person=PERSON))
        site = Site(Path(folder), Path(folder))
        assembled = assemble(load(path), "yard", site, stopwatch)
    film = Film(video, other, step)
    followed = theirs(checkout, film, Detector(assembled, other), picture.shape[:2])
    print(f"Frigate  {other.told()}; {followed} people followed")
    print(f"ours     {own.told()}; {len(people)} people followed")
    whole = [float(np.sum(each.frames)) for each in (own, other)]
    rest = [total - each.model_ms for total, each in zip(whole, (own, other), strict=True)]
    parts = f"{whole[0] / whole[1]:.2f}, without the model {rest[0] / rest[1]:.2f}"
    print(f"ours / Frigate, CPU: {parts}")


if __name__ == "__main__":
    main(*(Path(each).resolve() for each in sys.argv[1:4]))
