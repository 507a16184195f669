"""The start marker: what the agent is at, kept so that its next start knows what ended this one.

Two places. `start.json` in the state directory holds the stage and what was learned; it is written
a few times a start. What each pipeline has in its hands changes with every frame: that is a byte
and a fingerprint in shared memory (the runtime directory), which outlives the process, not a power
cut, and wears no card. Judged is in `policy/blame.py`; what is done about it in `standin.py`.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent import __version__
from edge_agent.engines.remember import keep, recall
from edge_agent.frozen import frozen
from edge_agent.policy.blame import SERIES, SETTLED_S, Blame, End, Hand, blame

if TYPE_CHECKING:
    from edge_agent.types import Array

log = logging.getLogger("edge_agent.marker")

FILE = "start.json"
GOOD = "config.good.yaml"
#: Of a picture or a window so many samples at most go into its fingerprint.
SAMPLES = 1024
_RECORD = struct.Struct("<??2xI")  # at work, has answered, which frame
_SHARED = Path("/dev/shm")


@frozen
class Aside:
    """A part that is not used: it ended the agent again and again. `since` is the wall's time."""

    blame: Blame
    since: float


@frozen
class LastEnd:
    """`asked`: it was stopped. `models`: those that were being loaded or at work (sha256)."""

    asked: bool
    models: frozenset[str] = frozenset()


class Grip:
    """What one pipeline has in its hands. Its worker alone takes and puts down."""

    __slots__ = ("_answered", "_at", "_memory", "refused")

    def __init__(self, memory: mmap.mmap, at: int, refused: frozenset[int]) -> None:
        self._memory = memory
        self._at = at
        self._answered = False
        self.refused = refused

    def take(self, fingerprint: int) -> None:
        _RECORD.pack_into(self._memory, self._at, True, self._answered, fingerprint)

    def put_down(self, *, inferred: bool) -> None:
        self._answered |= inferred
        self._memory[self._at] = 0


class Marker:
    """One for a start of the agent, once it holds the state directory."""

    def __init__(self, state: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._state = state
        self._hands = _memory_file(state, environment)
        self._record: dict[str, Any] = {}
        self._began = 0.0
        self._is_settled = False
        self.asides: tuple[Aside, ...] = ()
        self.news: Blame | None = None  # what this start blames anew

    @property
    def good_config(self) -> tuple[Path, Path] | None:
        """The copy of the configuration that held last, and the folder that it belongs to."""
        beside = self._record.get("beside")
        copy = self._state / GOOD
        return (copy, Path(beside)) if beside and copy.is_file() else None

    def begin(self, config: str) -> None:
        """The state is held, nothing is built yet. `config` is the file's sha256."""
        try:
            ends = self._learn()
        except (AttributeError, KeyError, TypeError, ValueError):
            log.warning("the start marker is damaged, and begins anew file=%s", self._state / FILE)
            self._record, self.asides, ends = {}, (), []
        self.news = blame(ends, self._record.get("good"))
        if self.news is not None:
            self.asides += (Aside(self.news, time.time()),)
            ends = []
        self._record |= {
            "ends": [_end_document(each) for each in ends[-SERIES:]],
            "asides": [_aside_document(each) for each in self.asides],
            "config": config,
            "models": {},
            "version": __version__,
        }
        self._touch_hands()
        self._stage("config")

    @property
    def has_begun(self) -> bool:
        return bool(self._record)

    def of(self, kind: str, pipeline: str = "") -> frozenset[str]:
        """What of that kind is not to be used."""
        every = (aside.blame for aside in self.asides)
        return frozenset(
            each.what for each in every if (each.kind, each.pipeline) == (kind, pipeline)
        )

    def loading(self, pipeline: str, model: str) -> None:
        """The next thing that may go wrong is this model."""
        self._record["loading"] = [pipeline, model]
        self._stage("model")

    def swapped(self, pipeline: str, model: str) -> None:
        """It is loaded, and takes charge of that pipeline now: what is at hand is its doing."""
        self._record["models"] = {**self._record["models"], pipeline: model}
        self._stage("running")

    def last_end(self) -> LastEnd:
        """How the start before this one ended. Before `begin`."""
        record = recall(self._state / FILE)
        if record.get("stage") == "stopped":
            return LastEnd(asked=True)
        try:
            if record["stage"] == "model" and self._hands.exists():
                return LastEnd(False, frozenset({str(record["loading"][1])}))
            models = dict(record["models"]) if record["stage"] == "running" else {}
            hands = _hands(self._hands, models)
        except (KeyError, TypeError, ValueError, IndexError):
            return LastEnd(asked=False)
        return LastEnd(False, frozenset(hand.model for hand in hands))

    def running(self, config: str) -> None:
        """Everything of this configuration is built and at work, but for `asides`."""
        if config != self._record["config"]:
            self._record |= {"ends": [], "config": config}
        self._record["asides"] = [_aside_document(each) for each in self.asides]
        self._began = time.monotonic()
        self._is_settled = False
        self._stage("running")

    def grips(self, models: Mapping[str, str]) -> dict[str, Grip]:
        """Every model is loaded: hands for these pipelines (name to sha256 of the model)."""
        self._record["models"] = dict(models)
        try:
            memory = _shared(self._hands, max(1, len(models)) * _RECORD.size)
        except OSError as refusal:
            log.warning("frames at work are not marked reason=%r", str(refusal))
            memory = None
        self._stage("running")
        if memory is None:
            return {}
        return {
            name: Grip(memory, place * _RECORD.size, frozenset(map(int, self.of("frame", name))))
            for place, name in enumerate(models)
        }

    def look(self, now: float, config: Path) -> None:
        """From time to time while it runs: once it has held for long enough, the series is over,
        and this configuration is the one to come back to."""
        if self._is_settled or self._record["stage"] != "running" or now - self._began < SETTLED_S:
            return
        self._is_settled = True
        if self._record["config"] not in self.of("config"):
            self._keep_good(config)
        self._record["ends"] = []
        self._stage("running")

    def stopped(self) -> None:
        """It ends as asked."""
        self._stage("stopped")
        self._hands.unlink(missing_ok=True)

    # --- below -----------------------------------------------------------------------------------

    def _touch_hands(self) -> None:
        """Empty from now on. That it is there at the next start says that no power was cut."""
        try:
            self._hands.unlink(missing_ok=True)
            self._hands.touch(0o600)
        except OSError as refusal:
            log.warning("an end by a power cut will not be told reason=%r", str(refusal))

    def _stage(self, stage: str) -> None:
        """A disk that is full must not keep anybody from watching: then this start learns less."""
        self._record["stage"] = stage
        try:
            keep(self._state / FILE, self._record)
        except OSError as refusal:
            log.warning("the start marker cannot be written reason=%r", str(refusal))

    def _keep_good(self, config: Path) -> None:
        """Unless the file was changed since it was read."""
        draft = self._state / f".{GOOD}"
        try:
            data = config.read_bytes()
            if hashlib.sha256(data).hexdigest() != self._record["config"]:
                return
            draft.write_bytes(data)
            draft.replace(self._state / GOOD)
        except OSError as refusal:
            log.warning("no copy of the configuration is kept reason=%r", str(refusal))
            return
        self._record |= {"good": self._record["config"], "beside": str(config.absolute().parent)}

    def _learn(self) -> list[End]:
        """What the starts before left behind; the series of their ends."""
        self._record = recall(self._state / FILE)
        if self._record.get("version") != __version__:
            self._record = {}  # another program may do better
        ends = [_end(each) for each in self._record.get("ends", [])]
        self.asides = tuple(_aside(each) for each in self._record.get("asides", []))
        if self._ended_unasked():
            ends.append(End(self._record["config"], self._at_hand()))
        return ends

    def _ended_unasked(self) -> bool:
        """The start before this one died. That it was the power's fault is seen by the shared
        memory: it is gone as well."""
        stage = self._record.get("stage", "stopped")
        return stage in ("config", "model") or (stage == "running" and self._hands.exists())

    def _at_hand(self) -> tuple[Hand, ...]:
        """What the start before this one had in its hands when it ended."""
        models: dict[str, str] = self._record.get("models", {})
        if self._record["stage"] == "model":
            return (Hand(*self._record["loading"]),)
        return _hands(self._hands, models)


def fingerprint(data: Array) -> int:
    """The same for the same picture or window; a sample of it is enough to tell two apart."""
    step = max(1, round((data.size / SAMPLES) ** (1 / min(2, data.ndim))))
    sample = data[::step, ::step] if data.ndim > 1 and data.shape[1] > step else data[::step]
    return zlib.crc32(sample.tobytes())


def _hands(file: Path, models: Mapping[str, str]) -> tuple[Hand, ...]:
    """What was at hand; nothing where nothing was yet, or the power was cut."""
    try:
        held = file.read_bytes()
    except OSError:
        return ()
    records = _RECORD.iter_unpack(held[: len(held) // _RECORD.size * _RECORD.size])
    return tuple(
        Hand(name, models[name], frame, answered)
        for name, (busy, answered, frame) in zip(models, records, strict=False)
        if busy
    )


def _shared(file: Path, size: int) -> mmap.mmap:
    """New memory of zeros with a name. Raises OSError."""
    file.unlink(missing_ok=True)  # never shorten what the pipelines before still hold
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _memory_file(state: Path, environment: Mapping[str, str]) -> Path:
    """In systemd's runtime directory; by hand in shared memory, where there is such."""
    runtime = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        return Path(runtime) / "hands"
    if not os.access(_SHARED, os.W_OK):
        return state / "hands"
    name = hashlib.sha256(str(state.absolute()).encode()).hexdigest()[:16]
    return _SHARED / f"edge-agent-{os.getuid()}-{name}"


def _end(document: Mapping[str, Any]) -> End:
    return End(document["config"], tuple(Hand(**hand) for hand in document["hands"]))


def _end_document(end: End) -> dict[str, Any]:
    return {"config": end.config, "hands": [asdict(hand) for hand in end.hands]}


def _aside(document: Mapping[str, Any]) -> Aside:
    return Aside(Blame(**document["blame"]), document["since"])


def _aside_document(aside: Aside) -> dict[str, Any]:
    return {"blame": asdict(aside.blame), "since": aside.since}
