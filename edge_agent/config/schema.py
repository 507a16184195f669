"""Every key of the configuration: its type, its default, what it means.

Rules: frozen, unknown keys forbidden, no silent conversion (`"5"` is no number). A key's meaning
stands in its description, what is allowed follows from its type. The reference in
docs/configuration.md and every mistake's sentence are made of these (`keys.py`). What several keys
must say of one another is in `agreement.py`. Paths are relative to the file they stand in.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from edge_agent.config.annotations import BY_KIND, before, bounds
from edge_agent.config.commands import Allowed, Commands
from edge_agent.config.evidence import Evidence
from edge_agent.config.part import Part, key, keys_of, part
from edge_agent.config.values import (
    Area,
    AsText,
    CameraUri,
    Confirm,
    Count,
    DeviceId,
    ExistingFile,
    FileName,
    Footage,
    Fraction,
    Labels,
    LineName,
    MinScore,
    ModelRef,
    Name,
    OutputName,
    Place,
    PositiveSeconds,
    Prefix,
    PromFile,
    RepositoryAddress,
    ScoreAbove,
    Seconds,
    SecretRef,
    SignalUriText,
    Size,
    SomeText,
    SourceName,
    Template,
    Text,
    Threads,
    TimeZone,
    Windows,
    ZoneName,
    no_null,
)
from edge_agent.frozen import frozen_by_name
from edge_agent.pipeline.zones import line_fault

# --- the device ----------------------------------------------------------------------------------


@frozen_by_name
class Device(Part):
    id: DeviceId = key("Names the device in MQTT topics and messages.", "${hostname}")
    site: Text | None = key("Where it stands; told in the retained `status`.", None)
    timezone: TimeZone | None = key("For schedules. null: the host's own.", None)
    tags: dict[Name, Text] = key("Words of your own to tell devices apart; in `status` too.", {})


# --- sources -------------------------------------------------------------------------------------


@frozen_by_name
class VideoSource(Part):
    kind: Literal["video"] = key("A recorded video, any file that FFmpeg reads.")
    uri: Footage = key("The file.")
    fps: float | None = key("Frames a second. null: the file's own times.", None, gt=0, le=1000)
    loop: bool = key("Begin again at the end.", False)


@frozen_by_name
class ImagesSource(Part):
    kind: Literal["images"] = key("Pictures, in the order of their names.")
    uri: Footage = key("A picture, a folder, or a pattern such as shots/*.jpg.")
    fps: float = key("Pictures a second of the pipeline's time.", 1.0, gt=0, le=1000)
    loop: bool = key("Begin again at the end.", False)


@frozen_by_name
class CameraSource(Part):
    kind: Literal["camera"] = key("A live camera: of this machine, or on the network.")
    uri: CameraUri = key(
        "/dev/video0, 0, rtsp://HOST/PATH, http://HOST/PATH, tcp://HOST:PORT; {username} and "
        "{password} in it where the camera wants them there."
    )
    username: Text | None = key("For the camera.", None)
    password: SecretRef | None = key("Where the password lies, never itself.", None)
    transport: Literal["tcp", "udp"] = key("Of RTSP. tcp: no picture is lost on the way.", "tcp")
    fps: float | None = key(
        "A device is asked for so many a second; of a stream at most so many are taken. "
        "null: as it comes.",
        None,
        gt=0,
        le=240,
    )
    size: Size | None = key("What a device is asked for. null: its own.", None)
    stall_s: PositiveSeconds = key("Without a picture for so long it is lost.", 8.0)
    max_age_s: PositiveSeconds = key("A frame that waited longer is `stale`.", 2.0)
    open_timeout_s: PositiveSeconds = key("It must have answered within this time.", 20.0)


@frozen_by_name
class SceneSource(Part):
    kind: Literal["scene"] = key("The built-in yard: people, forklifts, vans and dogs.")
    uri: Text = key("Which of its days: another seed is another day.", "built-in:?seed=7")


@frozen_by_name
class SignalSource(Part):
    kind: Literal["signal"] = key("Samples of a sensor or a recording, cut into windows.")
    uri: SignalUriText = key("Which samples, and how they come: docs/signals.md.")
    rate_hz: PositiveSeconds | None = key(
        "Samples a second. null: as the samples say, or the model wants.", None
    )
    window: Count | None = key("Samples of a window. null: as the model wants.", None)
    hop: Count | None = key("Samples from window to window. null: as the model wants.", None)
    loop: bool = key("A recording begins again at its end.", False)
    stall_s: PositiveSeconds = key("Without a sample for so long it is lost.", 10.0)
    username: Text | None = key("For an MQTT broker.", None)
    password: SecretRef | None = key("Where the password lies, never itself.", None)


Source = Annotated[CameraSource | VideoSource | ImagesSource | SceneSource | SignalSource, BY_KIND]

# --- pipelines -----------------------------------------------------------------------------------


@frozen_by_name
class Motion(Part):
    keepalive_s: Seconds = key("Infer at least this often, moved or not.", 30.0)
    sensitivity: Fraction = key("0 sees only large and clear changes, 1 the smallest.", 0.5)


def _motion(value: object) -> object:
    """`false` is the off switch; `null` says nothing."""
    keys = ", ".join(keys_of(Motion))
    return None if value is False else no_null(value, f"a mapping with {keys} | false")


def _false_for_null(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [schema["anyOf"][0], {"const": False}]


@frozen_by_name
class Gate(Part):
    max_fps: float = key(
        "Infer at most so many frames a second; 0: every frame, as it is of a signal "
        "where nothing is said.",
        5.0,
        ge=0,
    )
    motion: Annotated[Motion | None, before(_motion)] = part(
        "Skip frames in which nothing moved. false: off, as it is of a signal.",
        Motion,
        json_schema_extra=_false_for_null,
    )
    stationary: bool | None = key(
        "Skip frames in which only known objects stand still. null: as motion is.", None
    )
    schedule: Windows | None = key("Skip every frame outside of these windows.", None)


@frozen_by_name
class Masks(Part):
    privacy: tuple[Area, ...] = key("Blackened before the model and the store.", (), strict=False)
    motion: tuple[Area, ...] = key("Movement here is no motion.", (), strict=False)
    object: tuple[Area, ...] = key("Objects that stand here do not exist.", (), strict=False)


@frozen_by_name
class Line(Part):
    start: Place = key("Where it begins.", alias="from")
    end: Place = key("Where it ends; `in` crosses from your left to your right.", alias="to")

    def fault(self) -> str | None:
        return line_fault(self.start, self.end)


@frozen_by_name
class RuleKeys(Part):
    """What `defaults` may hold, for every rule of its pipeline. The defaults are RuleSpec's own."""

    label: Labels | None = key("What is looked for. null: anything.", None)
    zone: ZoneName | None = key("Only inside this zone.", None)
    line: LineName | None = key("An event for each crossing of this line.", None)
    direction: Literal["in", "out", "both"] = key(
        "Of the crossing; in is from the left hand to the right, walking from `from` to `to`.",
        "both",
    )
    anchor: Literal["bottom", "center"] = key("The point of a box that is in a zone.", "bottom")
    confirm: Confirm = key("Seen in n of the last m inferred frames of its track.", (1, 1))
    min_score: MinScore = key("Weaker findings do not count. model: the manifest's.", "model")
    min_area: Fraction | None = key("What is smaller does not count; 1: the whole picture.", None)
    max_area: Fraction | None = key("What is larger does not count.", None)
    dwell_s: Seconds = key("The condition must have held for so long.", 0.0)
    count: Count | None = key("An event when so many are there at once.", None)
    absent_s: PositiveSeconds | None = key("An event when none was there for so long.", None)
    score_above: ScoreAbove | None = key(
        "An event when the score is above. model: the manifest's threshold (anomaly).", None
    )
    for_s: Seconds = key("The score must have been above for so long.", 0.0)
    clear_below: float | None = key("The event closes below. null: score_above.", None)
    switched: bool = key("An event when the best class is another than before.", False)
    schedule: Windows | None = key("Silent outside of these windows. null: never.", None)
    cooldown_s: Seconds = key("Silent for so long after an event opened.", 0.0)
    cooldown_scope: Literal["rule", "zone", "track"] = key("What falls silent.", "rule")
    max_per_hour: Count | None = key("Beyond it one storm event, which counts the rest.", None)
    priority: Literal["alert", "notice", "record"] = key(
        "alert: published as it happens; the others count in summaries.", "notice"
    )
    text: Template | None = key(
        "What the event says; {label}, {zone}, {count}, {score}, {rule}, {dwell}, {direction} and "
        "{before} are filled in. null: a plain sentence.",
        None,
    )
    advice: SomeText | None = key("What to do about it.", None)
    evidence: Evidence = key(
        "What is kept with the event: a picture, of a signal the window, of both a clip.",
        (),
        strict=False,
    )
    output: OutputName | None = key("An output that is on while an event is open.", None)


@frozen_by_name
class CameraHealth(Part):
    priority: Literal["alert", "notice", "record"] = key("Of its events.", "notice")
    output: OutputName | None = key("An output that is on while one of them is open.", None)


def _camera_health(value: object) -> object:
    """`true` and `false` are switches; a mapping is on, and says more."""
    if value is True:
        return {}
    keys = ", ".join(keys_of(CameraHealth))
    return None if value is False else no_null(value, f"true | false | a mapping with {keys}")


def true_or_false(schema: dict[str, Any]) -> None:
    """What the reference says of `Watched`, in the place of null."""
    schema["anyOf"] = [schema["anyOf"][0], {"type": "boolean"}]
    schema["default"] = False


#: As it stands in a pipeline: off, on, or on and saying more.
Watched = Annotated[CameraHealth | None, before(_camera_health)]


@frozen_by_name
class Rule(RuleKeys):
    name: Name = key("Unique in its pipeline.")


@frozen_by_name
class Pipeline(Part):
    source: SourceName = key("The name of one of the sources.")
    model: ModelRef = key("A bundle's name, folder or .tar, or a bare .tflite.")
    engine: Literal["auto", "litert", "tflite-runtime"] = key(
        "auto: the faster one by `models bench`, litert without.", "auto"
    )
    threads: Threads = key("auto: the best by `models bench`, 1 without.", "auto")
    delegate: Text | None = key("A library such as libedgetpu.so.1.", None)
    gate: Gate = part("Which frames are inferred.", Gate)
    camera_health: Watched = key(
        "An event when the camera is black, covered, frozen, blurred or moved.",
        None,
        json_schema_extra=true_or_false,
    )
    masks: Masks = part("Polygons that are left out.", Masks)
    zones: dict[Name, Area] = key("Named polygons.", {})
    lines: dict[Name, Line] = key("Named lines that can be crossed.", {})
    defaults: RuleKeys = part("For every rule below; a rule's own keys win.", RuleKeys)
    rules: tuple[Rule, ...] = key("What opens an event.", (), strict=False)


# --- what surrounds them -------------------------------------------------------------------------


_HOLD = "Once on it stays so for at least so long."
_ON_STOP = "off: it is off after a stop and at the next start. keep: a stop leaves it as it is."


@frozen_by_name
class CommandOutput(Part):
    kind: Literal["command"] = key("A program that switches something.")
    argv: tuple[Text, ...] = key(
        "Its absolute path and its arguments; `on` or `off` comes after them.",
        min_length=1,
        strict=False,
    )
    timeout_s: Annotated[float, bounds(gt=0, le=60)] = key("It is killed after so long.", 2.0)
    hold_s: Annotated[float, bounds(ge=0, le=3600)] = key(_HOLD, 3.0)
    on_stop: Literal["off", "keep"] = key(_ON_STOP, "off")


@frozen_by_name
class GpioOutput(Part):
    kind: Literal["gpio"] = key("A pin of this board.")
    chip: SomeText = key("Such as /dev/gpiochip0, or its name.")
    line: Annotated[int, bounds(ge=0, le=1023)] = key("The number of the line on that chip.")
    active_low: bool = key("On is a low level.", False)
    hold_s: Annotated[float, bounds(ge=0, le=3600)] = key(_HOLD, 3.0)
    on_stop: Literal["off", "keep"] = key(_ON_STOP, "off")


Output = Annotated[CommandOutput | GpioOutput, BY_KIND]


@frozen_by_name
class Thermal(Part):
    target_c: Annotated[float, bounds(ge=30, le=110)] = key(
        "The board is kept at or below this temperature.", 75.0
    )
    sensor: SomeText = key(
        "The name of a thermal zone or hwmon sensor. auto: at the cores.", "auto"
    )
    min_fps: Annotated[float, bounds(gt=0, le=1000)] = key(
        "No heat takes a pipeline below so many inferences a second.", 0.5
    )
    sysfs: Text = key("Where the board's sensors are; another folder only to try things.", "/sys")


@frozen_by_name
class Store(Part):
    path: FileName | None = key("The state directory. null: the service's own.", None)
    flush_s: Annotated[float, bounds(ge=1, le=3600)] = key(
        "The ledger is written so often; a power cut may lose as much of it.", 60.0
    )
    quota_mb: Annotated[float, bounds(ge=8)] = key(
        "Database and evidence together; beyond it the least needed goes first.", 512.0
    )
    keep_days: Annotated[float, bounds(gt=0)] = key("Everything older goes.", 30.0)
    evidence_keep_days: Annotated[float, bounds(gt=0)] = key("Pictures older than this go.", 14.0)
    free_floor_mb: Annotated[float, bounds(ge=0)] = key(
        "So much of the disk is left to others, as far as pictures, sent and folded messages go.",
        256.0,
    )


@frozen_by_name
class Tls(Part):
    ca: ExistingFile | None = key("Who signed the broker. null: the system's own.", None)
    cert: ExistingFile | None = key("The client's certificate.", None)
    key: ExistingFile | None = field(
        default=None, metadata={"description": "The key of that certificate."}
    )


@frozen_by_name
class Drain(Part):
    rate_msgs: Annotated[float, bounds(gt=0, le=100_000)] | None = key(
        "Messages a second of what waited, alerts aside. null: no limit.", 50.0
    )


@frozen_by_name
class Budget(Part):
    mb_per_day: Annotated[float, bounds(gt=0)] | None = key(
        "Megabytes (of 1,000,000 bytes) of MQTT in any 24 hours. When they are spent only alerts "
        "leave; summaries are folded, and all of it is declared. null: no limit.",
        None,
    )


@frozen_by_name
class State(Part):
    kb_per_day: Annotated[float, bounds(ge=1)] | None = key(
        "What `state` may cost a day; the more comes and goes, the longer somebody must have been "
        "away before that is told. null: every change at once.",
        70.0,
    )


@frozen_by_name
class Mqtt(Part):
    host: SomeText = key("The broker.")
    port: Annotated[int, bounds(ge=1, le=65535)] | None = key(
        "null: 8883 with tls, 1883 without.", None
    )
    protocol: Annotated[Literal["auto", "5", "3.1.1"], AsText] = key(
        "auto: 5, or else 3.1.1.", "auto"
    )
    transport: Literal["tcp", "websockets"] = key("How the broker is reached.", "tcp")
    tls: Tls | None = key("An empty mapping is enough. null: plain TCP.", None)
    username: Text | None = key("For the broker.", None)
    password: SecretRef | None = key("Where the password lies, never itself.", None)
    discovery: Prefix | None = key(
        "homeassistant: the prefix under which Home Assistant looks for devices. null: not told.",
        None,
    )
    drain: Drain = key("How what waited leaves once the broker is back.", Drain())
    budget: Budget = key("What a day by MQTT may cost.", Budget())
    state: State = key("How the topic that tells what is in sight keeps quiet.", State())
    commands: Commands = key(
        "Which commands may come; each is off unless it stands here.",
        Allowed(),
        json_schema_extra={"default": []},
    )

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port or (8883 if self.tls is not None else 1883)


@frozen_by_name
class Summary(Part):
    every_s: Annotated[float, bounds(ge=1, le=86400)] = key("One summary per so long.", 300.0)


@frozen_by_name
class Metrics(Part):
    textfile: PromFile | None = key(
        "Numbers for node_exporter's textfile collector: docs/metrics.md. null: none.", None
    )


@frozen_by_name
class Ota(Part):
    repository: RepositoryAddress = key("Where signed models, policies and rollouts are.")
    root: ExistingFile | None = key(
        "The root that this device trusts first. null: /etc/edge-agent/root.json.", None
    )
    ca: ExistingFile | None = key(
        "Who signed the certificate of its web server. null: the system's own.", None
    )
    check_every_s: Annotated[float, bounds(ge=10, le=604_800)] = key(
        "How often it is looked at, give or take a tenth.", 3600.0
    )
    window: Windows | None = key("When a model may take charge. null: at any time.", None)
    max_mb_per_day: Annotated[float, bounds(gt=0)] | None = key(
        "Megabytes (of 1,000,000 bytes) a day, by UTC; a larger file comes over several days. "
        "null: no limit.",
        200.0,
    )
    hold: bool = key("true: nothing takes charge by itself; going back goes on.", False)


@frozen_by_name
class Config(Part):
    """One file."""

    device: Device = part("Who this device is.", Device)
    sources: dict[Name, Source] = key("Where frames come from, by name.", min_length=1)
    pipelines: dict[Name, Pipeline] = key("What is done with them, by name.", min_length=1)
    outputs: dict[Name, Output] = key("What an event can switch on, by name.", {})
    thermal: Thermal = part("How hot the board may become, and what gives way.", Thermal)
    store: Store = part("The local database.", Store)
    mqtt: Mqtt | None = key("The way out. null: nothing leaves the device.", None)
    summary: Summary = part("What is told of everything that was no alert.", Summary)
    metrics: Metrics = part("For a monitor on this host.", Metrics)
    ota: Ota | None = key("Signed updates: docs/ota.md. null: none.", None)
