"""Every mistake of a file, each at its place, with what is allowed and what was meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_agent.config.keys import every_key
from edge_agent.config.load import Loaded, load, read
from edge_agent.errors import UsageError

RULE_KEYS = (
    "label, zone, line, direction, anchor, confirm, min_score, min_area, max_area, dwell_s, "
    "count, absent_s, score_above, for_s, clear_below, switched, schedule, cooldown_s, "
    "cooldown_scope, max_per_hour, priority, text, advice, evidence, output"
)
POINT = "[x, y], numbers from 0 to 1 of the picture's width and height"
POLYGON = "a list of three or more points [x, y], numbers from 0 to 1"
GATE = "gate: [[0, 0], [1, 0], [1, 1]]"

#: The keys of one pipeline from line 6 of the file on -> its mistakes, without the file's name.
IN_A_PIPELINE = [
    # --- keys
    (
        "gaet: {}",
        "6:5: pipelines.people.gaet: unknown key, allowed: source, model, engine, threads, "
        "delegate, gate, camera_health, masks, zones, lines, defaults, rules (did you mean gate?)",
    ),
    ("engine: auto\nengine: auto", "7:5: pipelines.people.engine: the key stands twice, "
     "first on line 6"),
    ("source: yard", "6:5: pipelines.people.source: the key stands twice, first on line 4"),
    (
        "rules: [{nmae: a, label: person}]",
        "6:13: pipelines.people.rules[0].name: missing, allowed: a name: 1 to 64 printable "
        "characters, no space at either end\n"
        f"6:14: pipelines.people.rules[0].nmae: unknown key, allowed: name, {RULE_KEYS} "
        "(did you mean name?)",
    ),
    # --- values of the wrong type
    ("engine: tflite", '6:13: pipelines.people.engine: "tflite" stands here, allowed: auto | '
     "litert | tflite-runtime (did you mean litert?)"),
    ("threads: 0", "6:14: pipelines.people.threads: 0 stands here, allowed: auto | a whole number "
     "from 1 to 64"),
    ("threads: 1.5", "6:14: pipelines.people.threads: 1.5 stands here, allowed: auto | a whole "
     "number from 1 to 64"),
    ("gate: {max_fps: fast}", '6:21: pipelines.people.gate.max_fps: "fast" stands here, allowed: '
     "a number, 0 or more"),
    ("gate: {max_fps: '5'}", '6:21: pipelines.people.gate.max_fps: "5" stands here, allowed: '
     "a number, 0 or more"),
    ("gate: {max_fps: 12:30}", '6:21: pipelines.people.gate.max_fps: "12:30" stands here, '
     "allowed: a number, 0 or more"),
    ("gate: {max_fps: -1}", "6:21: pipelines.people.gate.max_fps: -1 stands here, allowed: "
     "a number, 0 or more"),
    ("gate: {max_fps: true}", "6:21: pipelines.people.gate.max_fps: true stands here, allowed: "
     "a number, 0 or more"),
    ("gate: {max_fps:}", "6:20: pipelines.people.gate.max_fps: nothing stands here, allowed: "
     "a number, 0 or more"),
    ("gate: 5", "6:11: pipelines.people.gate: 5 stands here, allowed: a mapping with max_fps, "
     "motion, stationary, schedule"),
    ("gate: {motion: true}", "6:20: pipelines.people.gate.motion: true stands here, allowed: "
     "a mapping with keepalive_s, sensitivity | false"),
    ("gate: {motion: null}", "6:20: pipelines.people.gate.motion: nothing stands here, allowed: "
     "a mapping with keepalive_s, sensitivity | false"),
    ("gate: {motion: {sensitivity: 2}}", "6:34: pipelines.people.gate.motion.sensitivity: 2 "
     "stands here, allowed: a number from 0 to 1"),
    ("gate: {stationary: on}", '6:24: pipelines.people.gate.stationary: "on" stands here, '
     "allowed: true | false | null"),
    ("rules: {name: a}", "6:12: pipelines.people.rules: a mapping stands here, allowed: a list "
     f"of: a mapping with name, {RULE_KEYS}"),
    ("rules: [5]", "6:13: pipelines.people.rules[0]: 5 stands here, allowed: a mapping with name, "
     f"{RULE_KEYS}"),
    ("rules: [{name: a, evidence: [window]}]", "6:34: pipelines.people.rules[0].evidence[0]: "
     "there is no window of a picture, allowed: snapshot"),
    ("rules: [{name: a, evidence: [film]}]", "6:34: pipelines.people.rules[0].evidence[0]: "
     '"film" stands here, allowed: snapshot | window | {clip: {pre_s: 5, post_s: 5, max_mb: 16}}'),
    ("rules: [{name: a, evidence: [clip, {clip: {pre_s: 2}}]}]", "6:33: pipelines.people.rules[0]"
     ".evidence: clip stands here twice"),
    ("rules: [{name: a, evidence: [{clip: {pre: 2}}]}]", "6:34: pipelines.people.rules[0]."
     'evidence[0]: unknown key "pre" at clip (did you mean pre_s?), allowed: pre_s, post_s, '
     "max_mb"),
    ("rules: [{name: a, evidence: [{clip: {post_s: 900}}]}]", "6:34: pipelines.people.rules[0]."
     "evidence[0]: 900 stands at post_s, allowed: 0 to 120"),
    ("rules: [{name: a, priority: alarm}]", "6:33: pipelines.people.rules[0].priority: "
     '"alarm" stands here, allowed: alert | notice | record (did you mean alert?)'),
    ("rules: [{name: a, min_score: high}]", "6:34: pipelines.people.rules[0].min_score: "
     '"high" stands here, allowed: model | a number from 0 to 1'),
    ("rules: [{name: a, confirm: [5, 3]}]", "6:32: pipelines.people.rules[0].confirm: [5, 3] "
     "stands here, allowed: [n, m], whole numbers, 1 <= n <= m <= 100"),
    ("rules: [{name: a, label: [person, true]}]", "6:30: pipelines.people.rules[0].label: true "
     "stands here, allowed: a label, or a list of labels"),
    ("rules: [{name: '', dwell_s: .nan}]", '6:20: pipelines.people.rules[0].name: "" stands '
     "here, allowed: 1 to 64 printable characters, no space at either end\n"
     '6:33: pipelines.people.rules[0].dwell_s: ".nan" stands here, allowed: a number, 0 or more'),
    # --- places in the picture
    ("zones: {z: [[0, 0], [1, 1]]}", "6:16: pipelines.people.zones.z: has 2 points, a polygon "
     "needs at least 3"),
    ("zones: {z: [[0, 0], [1.2, 0], [1, 1]]}", "6:16: pipelines.people.zones.z: point 2 [1.2, 0] "
     "is outside 0..1"),
    ("zones: {z: [[0, 0], [1, 1], [1, 0], [0, 1]]}", "6:16: pipelines.people.zones.z: crosses "
     "itself: side 1 meets side 3"),
    ("zones: {z: [[0, 0], [1, 1], [1, left]]}", "6:16: pipelines.people.zones.z: "
     f'[[0, 0], [1, 1], [1, "left"]] stands here, allowed: {POLYGON}'),
    ("zones: {\"\": [[0, 0], [1, 0], [1, 1]], ' z': [[0, 0], [1, 0], [1, 1]]}",
     "6:13: pipelines.people.zones: a key is text, and not empty\n"
     '6:43: pipelines.people.zones." z": " z" stands here, allowed: 1 to 64 printable '
     "characters, no space at either end"),
    ("masks: {privacy: [[0, 0], [1, 0]]}", "6:23: pipelines.people.masks.privacy[0]: the point "
     f"[0, 0] stands here, allowed: {POLYGON}\n6:31: pipelines.people.masks.privacy[1]: the point "
     f"[1, 0] stands here, allowed: {POLYGON}"),
    ("lines: {l: {from: [0, 0]}}", "6:13: pipelines.people.lines.l.to: missing, allowed: "
     f"{POINT}"),
    ("lines: {l: {from: [0, 0], to: [0, 2]}}", "6:35: pipelines.people.lines.l.to: the point "
     f"[0, 2] lies outside of the picture, allowed: {POINT}"),
    ("lines: {l: {from: [0, 0], to: [0, 0]}}", "6:16: pipelines.people.lines.l: is no longer "
     "than 0.01 of the frame"),
    # --- schedules and texts
    ("gate: {schedule: always}", "6:22: pipelines.people.gate.schedule: the schedule window "
     "'always' is not like 'mon-fri 22:00-06:00' or '22:00-06:00'"),
    ("rules: [{name: a, schedule: moon 22:00-06:00}]", "6:33: pipelines.people.rules[0].schedule: "
     "the schedule window 'moon 22:00-06:00' names the day 'moon', allowed are mon, tue, wed, "
     "thu, fri, sat, sun"),
    ("rules: [{name: a, text: '{labl} here'}]", "6:29: pipelines.people.rules[0].text: the text "
     "'{labl} here' has a field that is not one of {label}, {zone}, {count}, {score}, {rule}, "
     "{dwell}, {direction}, {before}"),
    # --- what keys say of one another
    ("gate: {motion: false, stationary: true}", "6:39: pipelines.people.gate.stationary: "
     "stationary needs motion, allowed with motion: false is stationary: false"),
    (f"zones: {{{GATE}}}\nrules: [{{name: a, zone: gaet}}]", "7:29: "
     'pipelines.people.rules[0].zone: there is no zone "gaet", allowed: gate (did you mean gate?)'),
    ("defaults: {zone: gate}", "6:22: pipelines.people.defaults.zone: there is no zone "
     '"gate", there are none'),
    ("rules: [{name: a, line: door}]", "6:29: pipelines.people.rules[0].line: there is no line "
     '"door", there are none'),
    ("rules: [{name: a}, {name: b}, {name: a}]", "6:42: pipelines.people.rules[2].name: "
     'the name "a" stands twice, first on line 6'),
    (f"zones: {{{GATE}}}\nlines: {{l: {{from: [0, 0], to: [1, 1]}}}}\n"
     "rules: [{name: a, line: l, zone: gate}]", "8:38: pipelines.people.rules[0].zone: `zone` "
     "means nothing in a rule with `line`"),
    ("rules: [{name: a, direction: in}]", "6:34: pipelines.people.rules[0].direction: `direction` "
     "means nothing in a rule without `line`, `count`, `absent_s`, `score_above` and "
     "`switched`"),
    ("rules: [{name: a, count: 3, absent_s: 5}]", "6:30: pipelines.people.rules[0].count: `count` "
     "means nothing in a rule with `absent_s`"),
    ("rules: [{name: a, score_above: 0.5, confirm: [2, 3]}]", "6:50: "
     "pipelines.people.rules[0].confirm: `confirm` means nothing in a rule with `score_above`"),
    ("rules: [{name: a, min_area: 0.5, max_area: 0.1}]", "6:33: "
     "pipelines.people.rules[0].min_area: `min_area` 0.5 is above `max_area` 0.1"),
    ("rules: [{name: a, score_above: 0.5, clear_below: 0.6}]", "6:54: "
     "pipelines.people.rules[0].clear_below: `clear_below` 0.6 is above `score_above` 0.5"),
    ("rules: [{name: a, score_above: high}]", "6:36: pipelines.people.rules[0].score_above: "
     '"high" stands here, allowed: model | a number'),
    ("rules: [{name: a, score_above: .inf}]", "6:36: pipelines.people.rules[0].score_above: "
     '".inf" stands here, allowed: model | a number'),
    ("rules: [{name: a, switched: 1}]", "6:33: pipelines.people.rules[0].switched: "
     "1 stands here, allowed: true | false"),
    (f"zones: {{{GATE}}}\nrules: [{{name: a, switched: true, zone: gate}}]", "7:45: "
     "pipelines.people.rules[0].zone: `zone` means nothing in a rule with `switched`"),
    ("defaults: {max_area: 0.1}\nrules: [{name: a, min_area: 0.5}]", "7:33: "
     "pipelines.people.rules[0].min_area: `min_area` 0.5 is above `max_area` 0.1"),
    ("rules: [{name: 侵入, zone: 門}]", "6:30: pipelines.people.rules[0].zone: there is no zone "
     '"門", there are none'),
]  # fmt: skip

KINDS = ("camera", "video", "images", "scene", "signal")
PIPELINES = "\npipelines: {p: {source: yard, model: m}}\n"
SCENE = "sources: {yard: {kind: scene}}" + PIPELINES

LAMP = SCENE + "outputs: {lamp: {kind: command, argv: [/usr/local/bin/lamp, 3], "

REPOSITORY = "https://HOST/PATH, http://HOST/PATH, or a folder"

#: A whole file -> its mistakes.
IN_A_FILE = [
    ("hello", '1:1: "hello" stands here, allowed: a mapping with sources, pipelines, device, '
     "outputs, thermal, store, mqtt, summary, metrics, ota"),
    ("[1]", "1:1: [1] stands here, allowed: a mapping with sources, pipelines, device, outputs, "
     "thermal, store, mqtt, summary, metrics, ota"),
    ("device: {}", "1:1: sources: missing, allowed: a mapping of names, at least one\n"
     "1:1: pipelines: missing, allowed: a mapping of names, at least one"),
    ("sources: {}" + PIPELINES, "1:10: sources: an empty mapping stands here, allowed: "
     "a mapping of names, at least one\n2:25: pipelines.p.source: there is no source "
     '"yard", there are none'),
    ("sources: {yard: {kind: lidar, uri: x}}" + PIPELINES, "1:24: sources.yard.kind: "
     f"kind lidar: this version reads {', '.join(KINDS)}"),
    ("sources: {yard: {kind: scen}}" + PIPELINES, "1:24: sources.yard.kind: kind scen: this "
     f"version reads {', '.join(KINDS)} (did you mean scene?)"),
    ("sources: {yard: {kind: [a]}}" + PIPELINES, '1:24: sources.yard.kind: ["a"] stands here, '
     f"allowed: {' | '.join(KINDS)}"),
    ("sources: {yard: {uri: x}}" + PIPELINES, "1:11: sources.yard.kind: missing, allowed: "
     f"{' | '.join(KINDS)}"),
    ("sources: {yard: scene}" + PIPELINES, '1:17: sources.yard: "scene" stands here, allowed: '
     f"a mapping with kind: {' | '.join(KINDS)}"),
    ("sources: {yard: {kind: camera, uri: 'rtsp://joe:hunter2@cam/s'}}" + PIPELINES, "1:37: "
     "sources.yard.uri: a user name or a password stands in the URL, allowed: write username: "
     'NAME and password: "${file:NAME}" beside it'),
    ("sources: {yard: {kind: camera, uri: 'rtsp://cam/s', size: 640 x 480}}" + PIPELINES, "1:59: "
     'sources.yard.size: "640 x 480" stands here, allowed: WIDTHxHEIGHT in pixels, such as '
     "1280x720\n1:59: sources.yard.size: a stream cannot be asked for a size, allowed: none (set "
     "it in the camera)"),
    ("sources: {yard: {kind: camera, uri: 0, transport: tcp, username: joe}}" + PIPELINES, "1:51: "
     "sources.yard.transport: a device of this machine has no transport, allowed: none\n1:66: "
     "sources.yard.username: a device of this machine has no username, allowed: none"),
    ("sources: {yard: {kind: camera, uri: 'http://cam/', transport: udp, "
     "password: '${credential:c}'}}" + PIPELINES, "1:63: sources.yard.transport: transport is "
     "RTSP's, allowed with an rtsp:// uri\n1:78: sources.yard.password: password without "
     "username, allowed: both or neither"),
    ("sources: {yard: {kind: camera, uri: 'http://cam/?p={password}'}}" + PIPELINES, "1:37: "
     "sources.yard.uri: the uri has a place for credentials, allowed with username and password"),
    ("sources: {yard: {kind: video}}" + PIPELINES, "1:11: sources.yard.uri: missing, allowed: "
     "a file, a folder or a pattern"),
    ("sources: {yard: {kind: scene, fps: 5}}" + PIPELINES, "1:31: sources.yard.fps: unknown key, "
     "allowed: kind, uri"),
    ("sources: {video: {kind: video, uri: a, video: 1}, yard: {kind: scene}}" + PIPELINES,
     "1:40: sources.video.video: unknown key, allowed: kind, uri, fps, loop"),
    ("sources: {yard: {kind: images, uri: a, fps: 0}}" + PIPELINES, "1:45: sources.yard.fps: "
     "0 stands here, allowed: a number above 0, up to 1000"),
    (SCENE.replace("source: yard", "source: yrad"), '2:25: pipelines.p.source: there is no source '
     '"yrad", allowed: yard (did you mean yard?)'),
    (SCENE.replace("model: m", 'model: ""'), '2:38: pipelines.p.model: "" stands here, allowed: '
     "the name of a file"),
    (SCENE.replace("model: m", "model: " + "m" * 256), "2:38: pipelines.p.model: "
     f'"{"m" * 39}…" stands here, allowed: the name of a file'),
    (SCENE.replace("model: m", 'model: "a\\0b"'), '2:38: pipelines.p.model: "a\\x00b" stands here, '
     "allowed: the name of a file"),
    (SCENE + "devices: {}", "3:1: devices: unknown key, allowed: sources, pipelines, device, "
     "outputs, thermal, store, mqtt, summary, metrics, ota (did you mean device?)"),
    (SCENE + "ota: {}", f"3:1: ota.repository: missing, allowed: {REPOSITORY}"),
    (SCENE + "ota: {repository: 'ftp://a/b'}", "3:19: ota.repository: this is no address of a "
     f"repository, allowed: {REPOSITORY}"),
    (SCENE + "ota: {repository: 'https://u:p@a/b'}", "3:19: ota.repository: a login stands in the "
     f"address, which anybody may read here; allowed: {REPOSITORY}"),
    (SCENE + "ota: {repository: 'http://a:b/c'}", "3:19: ota.repository: the address cannot be "
     f"read (Port could not be cast to integer value as 'b'), allowed: {REPOSITORY}"),
    (SCENE + "ota: {repository: 'http://a/b?c'}", "3:19: ota.repository: the address has a ? or # "
     f"in it, allowed: {REPOSITORY}"),
    (SCENE + "ota: {repository: /media/stick, window: '2-5'}", "3:41: ota.window: the schedule "
     "window '2-5' is not like 'mon-fri 22:00-06:00' or '22:00-06:00'"),
    (LAMP + "on_stop: on}}", '3:74: outputs.lamp.on_stop: "on" stands here, allowed: off | keep'),
    ("outputs: {lamp: {kind: command, argv: []}}\n" + SCENE, "1:39: outputs.lamp.argv: "
     "[] stands here, allowed: a list of: text, at least one"),
    ("outputs: {lamp: {kind: gpoi}}\n" + SCENE, "1:24: outputs.lamp.kind: kind gpoi: this version "
     "reads command, gpio (did you mean gpio?)"),
    ("outputs: {lamp: {kind: gpio, chip: gpiochip0, line: -1}}\n" + SCENE, "1:53: "
     "outputs.lamp.line: -1 stands here, allowed: a whole number from 0 to 1023"),
    (SCENE + "device: {id: dock 07}", '3:14: device.id: "dock 07" stands here, allowed: 1 to 64 '
     "letters a-z A-Z, digits, - and _, or ${hostname}, or ${serial}"),
    (SCENE + "device: {id: '${hostnam}'}", '3:14: device.id: "${hostnam}" stands here, allowed: '
     "1 to 64 letters a-z A-Z, digits, - and _, or ${hostname}, or ${serial}"),
    (SCENE + "device: {timezone: Asia/Tokio}", '3:20: device.timezone: "Asia/Tokio" is no time '
     "zone, allowed: an IANA name such as Asia/Tokyo (did you mean Asia/Tokyo?)"),
    (SCENE + "device: {timezone: ../../etc/passwd}", '3:20: device.timezone: "../../etc/passwd" '
     "is no time zone, allowed: an IANA name such as Asia/Tokyo"),
    (SCENE + "device: {tags: {a: [b]}}", '3:20: device.tags.a: ["b"] stands here, allowed: text'),
    (SCENE + "store: {flush_s: 0}", "3:18: store.flush_s: 0 stands here, allowed: a number from "
     "1 to 3600"),
    (SCENE + "store: {quota_gb: 5}", "3:9: store.quota_gb: unknown key, allowed: path, flush_s, "
     "quota_mb, keep_days, evidence_keep_days, free_floor_mb (did you mean quota_mb?)"),
    (SCENE + "mqtt: {hots: h}", "3:1: mqtt.host: missing, allowed: text, not empty\n3:8: "
     "mqtt.hots: unknown key, allowed: host, port, protocol, transport, tls, username, password, "
     "discovery, drain, budget, state, commands (did you mean host?)"),
    (SCENE + "mqtt: {host: h, commands: [ping, pong]}", '3:27: mqtt.commands: "pong" is no command '
     "(did you mean ping?), allowed: a list of ping, detail, snapshot, resend, pause, resume, ack, "
     "label, ota-check, rollback, or {snapshot: {publish: true}}"),
    (SCENE + "mqtt: {host: h, commands: [ping, ping]}", "3:27: mqtt.commands: ping stands here "
     "twice"),
    (SCENE + "mqtt: {host: h, commands: [{snapshot: {publish: 1}}]}", "3:27: mqtt.commands: "
     "a mapping stands at snapshot, allowed: {publish: true}"),
    (SCENE + "mqtt: {host: h, port: 99999, protocol: 4}", "3:23: mqtt.port: 99999 stands here, "
     'allowed: a whole number from 1 to 65535 | null\n3:40: mqtt.protocol: "4" stands here, '
     "allowed: auto | 5 | 3.1.1"),
    (SCENE + "mqtt: {host: h, tls: {ca: none.pem}}", "3:27: mqtt.tls.ca: there is no file "
     "FOLDER/none.pem"),
    (SCENE + "mqtt: {host: h, tls: {cert: site.yaml}}", "3:29: mqtt.tls.cert: cert without key, "
     "allowed: both or neither"),
    (SCENE + 'mqtt: {host: h, username: u, password: "${file:none}"}', "3:40: mqtt.password: "
     "there is no file FOLDER/none for this secret"),
    (SCENE + 'mqtt: {host: h, password: "${credential:mqtt}"}', "3:27: mqtt.password: password "
     "without username, allowed: both or neither"),
    (SCENE + "summary: 300", "3:10: summary: 300 stands here, allowed: a mapping with every_s"),
]  # fmt: skip


def _said(loaded: Loaded, path: Path) -> str:
    lines = "\n".join(str(mistake) for mistake in loaded.mistakes)
    return lines.replace(f"{path}:", "").replace(str(path.parent), "FOLDER")


@pytest.mark.parametrize(("keys", "mistakes"), IN_A_PIPELINE)
def test_a_mistake_in_a_pipeline_is_named_at_its_place(
    pipeline: Callable[[str], Loaded], tmp_path: Path, keys: str, mistakes: str
) -> None:
    assert _said(pipeline(keys), tmp_path / "site.yaml") == mistakes


@pytest.mark.parametrize(("text", "mistakes"), IN_A_FILE)
def test_a_mistake_in_a_file_is_named_at_its_place(
    reading: Callable[[str], Loaded], tmp_path: Path, text: str, mistakes: str
) -> None:
    assert _said(reading(text), tmp_path / "site.yaml") == mistakes


def test_one_mistake_hides_no_other_and_all_come_in_the_order_of_the_file(
    reading: Callable[[str], Loaded],
) -> None:
    loaded = reading("""
        device: {id: "a b"}
        sources: {yard: {kind: scene, loop: 1}}
        pipelines:
          p:
            source: yrad
            model: m
            model: m
            zones: {z: [[0, 0]]}
            defaults: {cooldown: 5}
            rules: [{name: a, zone: y, prioriti: alert}, {name: a, line: x, direction: up}]
        mqtt: {port: x}
    """)
    assert [mistake.path for mistake in loaded.mistakes] == [
        "device.id",
        "sources.yard.loop",
        "pipelines.p.source",
        "pipelines.p.model",
        "pipelines.p.zones.z",
        "pipelines.p.defaults.cooldown",
        "pipelines.p.rules[0].zone",
        "pipelines.p.rules[0].prioriti",
        "pipelines.p.rules[1].name",
        "pipelines.p.rules[1].line",
        "pipelines.p.rules[1].direction",
        "mqtt.host",
        "mqtt.port",
    ]
    assert loaded.config is None


# --- files that are no configuration --------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (b"", "1:1: is empty"),
        (b"\n# nothing yet\n", "1:1: is empty"),
        (b"null", "1:1: is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "3:1: is binary, byte 0x00 stands here"),
        (b"a: 1\nb: caf\xe9\n", "2:7: byte 0xe9 is not UTF-8, save the file as UTF-8"),
        (b"\xff\xfea\0:\0", "1:4: is binary, byte 0x00 stands here"),
        (b"#" * 1_000_001, "1:1: has 1000001 bytes, a configuration has at most a million"),
        (b"a: [", "1:5: not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_sentence(
    tmp_path: Path, content: bytes, mistake: str
) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    assert _said(read(path), path) == mistake


def test_a_missing_file_a_folder_and_a_device_are_one_sentence(tmp_path: Path) -> None:
    absent = tmp_path / "absent.yaml"
    assert _said(read(absent), absent) == "1:1: there is no such file"
    assert _said(read(tmp_path), tmp_path) == "1:1: is a folder, a configuration is one file"
    assert _said(read(Path("/dev/null")), Path("/dev/null")) == "1:1: is no ordinary file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_one_sentence(written: Callable[[str], Path]) -> None:
    path = written("a: 1")
    path.chmod(0)
    assert _said(read(path), path) == "1:1: cannot be read: Permission denied"


def test_a_name_that_no_file_can_have_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    assert _said(read(path), path) == "1:1: cannot be read: File name too long"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SCENE.encode())
    assert read(path).mistakes == ()


# --- what is right --------------------------------------------------------------------------------


def test_load_raises_with_the_first_mistake_and_the_number_of_the_others(
    written: Callable[[str], Path],
) -> None:
    path = written(SCENE + "a: 1\nb: 2\nc: 3\n")
    with pytest.raises(UsageError) as caught:
        load(path)
    assert caught.value.message.startswith(f"{path}:3:1: a: unknown key")
    assert caught.value.message.endswith("(and 2 more mistakes)")
    assert caught.value.next == f"edge-agent check -c {path}"
    assert caught.value.exit_code == 2


def test_names_in_any_script_are_right(pipeline: Callable[[str], Loaded]) -> None:
    loaded = pipeline("""
        zones: {門: [[0, 0], [1, 0], [1, 1]]}
        rules: [{name: 侵入, label: 人, zone: 門}]
    """)
    assert loaded.mistakes == ()
    assert loaded.config is not None
    (rule,) = loaded.config.pipelines["people"].rules
    assert (rule.name, rule.label, rule.zone) == ("侵入", "人", "門")


def test_a_whole_number_is_a_label_a_tag_and_a_name(reading: Callable[[str], Loaded]) -> None:
    loaded = reading("""
        device: {id: 7, tags: {floor: 2}}
        sources: {1: {kind: scene}}
        pipelines:
          p: {source: 1, model: m, rules: [{name: 5, label: 0}, {name: 6, label: [1, a]}]}
        mqtt: {host: h, protocol: 5}
    """)
    assert loaded.mistakes == ()
    assert loaded.config is not None
    assert loaded.config.device.tags == {"floor": "2"}
    assert [rule.label for rule in loaded.config.pipelines["p"].rules] == ["0", ("1", "a")]


def test_paths_are_relative_to_the_file(written: Callable[[str], Path]) -> None:
    path = written("""
        sources: {a: {kind: video, uri: gate.mp4}, b: {kind: images, uri: "/shots/*.jpg"}}
        pipelines: {p: {source: a, model: models/m.tflite}}
        store: {path: state}
    """)
    config = load(path)
    assert config.sources["a"].uri == str(path.parent / "gate.mp4")
    assert config.sources["b"].uri == "/shots/*.jpg"
    assert config.store.path == str(path.parent / "state")


def test_marks_say_where_a_label_stands(pipeline: Callable[[str], Loaded]) -> None:
    marks = pipeline("rules:\n  - name: a\n    label: person\n").marks
    assert marks.at(("pipelines", "people", "rules", 0, "label")) == (8, 16)


def test_the_port_follows_tls(reading: Callable[[str], Loaded]) -> None:
    plain = reading(SCENE + "mqtt: {host: h}").config
    secured = reading(SCENE + "mqtt: {host: h, tls: {}}").config
    stated = reading(SCENE + "mqtt: {host: h, port: 5, tls: {}}").config
    assert [c.mqtt.address for c in (plain, secured, stated) if c and c.mqtt] == [
        ("h", 1883),
        ("h", 8883),
        ("h", 5),
    ]


# --- nothing that stands in a file makes it raise -------------------------------------------------

_KEYS = {part for key in every_key() for part in key.path}
_WORDS = st.sampled_from(sorted(_KEYS | {"<<", "scene", "video", "images", "yard", "p"}))
_SCALARS = (
    _WORDS
    | st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["${file:x}", "${credential:y}", "22:00-06:00", "{label}", "built-in:"])
)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=25,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sources=_TREES,
    pipeline=st.dictionaries(_WORDS, _TREES, max_size=6),
    rest=st.dictionaries(_WORDS, _TREES, max_size=4),
)
def test_any_tree_gives_a_config_or_mistakes(
    tmp_path: Path, sources: object, pipeline: object, rest: dict[str, object]
) -> None:
    import yaml

    path = tmp_path / "any.yaml"
    tree = {"sources": {"yard": sources}, "pipelines": {"p": pipeline}, **rest}
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    _is_judged(read(path))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=40) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
)
@example(b"sources: {a: {kind: &x video, uri: *x}}\npipelines: *x\n")
@example(b"? {a: b}\n: c\n")
@example(b"pipelines: {p: {rules: [{zone: [], line: {}, name: 5, label: []}], zones: []}}")
@example(b"device: {timezone: Europe, id: \xe4\xba\xba}")
def test_any_bytes_give_a_config_or_mistakes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content)
    _is_judged(read(path))


def _is_judged(loaded: Loaded) -> None:
    assert (loaded.config is None) == bool(loaded.mistakes)
    for mistake in loaded.mistakes:
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert str(mistake).isprintable()
