"""`doctor` on the way to the broker: each step really made to fail, on a real mosquitto."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.host.fake import FakeClock
from edge_agent.service.doctor import examine
from edge_agent.service.doctor_finding import Case, Finding, Here

Findings = dict[str, Finding]

CONFIG = """\
device: {{id: doctor-test}}
sources: {{yard: {{kind: scene, uri: "built-in:?seed=7"}}}}
pipelines: {{yard: {{source: yard, model: scene-detector, rules: [{{name: any}}]}}}}
mqtt: {{host: {host}, port: {port}{more}}}
"""
DAY_S = 86_400.0
LAST = ("login ok", "publish ok")


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Findings]:
    """`ask(port, ", username: u", host=...)`: what `doctor --only broker` finds, by step."""

    def run(port: int, more: str = "", host: str = "127.0.0.1", **here: Any) -> Findings:
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.format(host=host, port=port, more=more), "utf-8")
        path.chmod(0o600)
        case = Case(path, tmp_path / "state", Here(**here))
        findings = [each for each in examine(case, ("broker",)) if each.name != "configuration"]
        return {each.name.removeprefix("broker "): each for each in findings}

    return run


def verdicts(findings: Findings) -> list[str]:
    return [f"{step} {finding.verdict}" for step, finding in findings.items()]


def test_the_whole_way_and_nobody_is_taken_over(
    shared_mosquitto: Any,
    ask: Callable[..., Findings],
    receive: Callable[..., Any],
    eventually: Any,
) -> None:
    receiver = receive(shared_mosquitto.port, "doctor-test")
    findings = ask(shared_mosquitto.port)
    assert verdicts(findings) == ["name ok", "tcp ok", "tls skipped", "login ok", "publish ok"]
    assert "anonymous, MQTT 5" in findings["login"].message
    message = eventually(lambda: receiver.on("doctor"), "the test message came")[0]
    schema = resources.files("edge_agent") / "schemas" / "mqtt-doctor.json"
    jsonschema.validate(message, json.loads(schema.read_text("utf-8")))
    assert not receiver.was_retained("doctor")
    assert receiver.on("status") == []


def test_a_broker_that_is_down_ends_it_at_tcp(ask: Callable[..., Findings]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        findings = ask(taken.getsockname()[1])
    rest = ["tls skipped", "login skipped", "publish skipped"]
    assert verdicts(findings) == ["name ok", "tcp fail", *rest]
    assert "refuses connections" in findings["tcp"].message
    assert findings["tcp"].hint.startswith("start the broker, or check mqtt.port: nc -vz 127.0.0.1")
    assert "tcp must pass first" in findings["publish"].message


def test_a_name_that_nobody_knows(ask: Callable[..., Findings]) -> None:
    findings = ask(1883, host="no-such-broker.invalid")
    assert verdicts(findings)[0] == "name fail"
    assert "no-such-broker.invalid cannot be resolved" in findings["name"].message


def test_a_port_that_never_answers(
    ask: Callable[..., Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.service.doctor_broker.PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        findings = ask(mute.getsockname()[1])
    assert verdicts(findings)[3:] == ["login fail", "publish skipped"]
    assert "does not answer within 0.5 s" in findings["login"].message


# --- login and ACL -------------------------------------------------------------------------------


@pytest.fixture
def guarded(new_mosquitto: Callable[..., Any], tmp_path: Path) -> Any:
    """A broker with a user `u`, password `right`, who may write its status alone."""
    passwords = shutil.which("mosquitto_passwd") or pytest.skip("mosquitto_passwd is not here")
    subprocess.run([passwords, "-b", "-c", tmp_path / "users", "u", "right"], check=True)
    (tmp_path / "users").chmod(0o644)
    acl = tmp_path / "acl"
    acl.write_text("user u\ntopic write edge/v1/doctor-test/status\n")
    return new_mosquitto(f"password_file {tmp_path / 'users'}\nacl_file {acl}\n").start()


def test_a_wrong_password_fails_the_login(
    guarded: Any, tmp_path: Path, ask: Callable[..., Findings]
) -> None:
    (tmp_path / "pass").write_text("wrong\n")
    findings = ask(guarded.port, ', username: u, password: "${file:pass}"')
    assert verdicts(findings)[3:] == ["login fail", "publish skipped"]
    assert "refuses the connection: Not authorized" in findings["login"].message
    assert "mqtt.password" in findings["login"].hint
    assert "wrong" not in findings["login"].message


def test_an_acl_that_refuses_fails_the_publish(
    guarded: Any, tmp_path: Path, ask: Callable[..., Findings]
) -> None:
    (tmp_path / "pass").write_text("right\n")
    user = ', username: u, password: "${file:pass}"'
    findings = ask(guarded.port, user)
    assert verdicts(findings)[3:] == ["login ok", "publish fail"]
    assert "accepted as user u" in findings["login"].message
    assert "edge/v1/doctor-test/doctor: Not authorized" in findings["publish"].message
    assert "write to edge/v1/doctor-test/#" in findings["publish"].hint
    old = ask(guarded.port, f"{user}, protocol: 3.1.1")
    assert old["publish"].verdict == "warn"
    assert "under MQTT 3.1.1 that says little" in old["publish"].message


def test_a_password_that_is_not_there_is_told(
    shared_mosquitto: Any, ask: Callable[..., Findings]
) -> None:
    findings = ask(shared_mosquitto.port, ', username: u, password: "${credential:mqtt}"')
    assert verdicts(findings) == ["broker fail"]
    assert "LoadCredential=mqtt:FILE" in findings["broker"].hint


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one authority: good and expired ones for `localhost`, a client's, an expired client's."""
    openssl = shutil.which("openssl") or pytest.skip("openssl is not here")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA",
        *usage)  # fmt: skip
    identifiers = "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    name = "subjectAltName=DNS:localhost"
    for who, extension, days in (
        ("server", name, "300"),
        ("ending", name, "9"),
        ("expired", name, "-1"),
        ("client", "extendedKeyUsage=clientAuth", "300"),
        ("former", "extendedKeyUsage=clientAuth", "-1"),
    ):
        run("req", *new_key, "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        (folder / "extensions").write_text(identifiers + extension)
        run("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days",
            days, "-CAcreateserial", "-out", f"{who}.pem", "-extfile", "extensions")  # fmt: skip
    return folder


@pytest.fixture
def tls_broker(new_mosquitto: Callable[..., Any], certificates: Path) -> Callable[..., int]:
    def start(who: str = "server", extra: str = "") -> int:
        broker = new_mosquitto(
            f"cafile {certificates / 'ca.pem'}\ncertfile {certificates / who}.pem\n"
            f"keyfile {certificates / who}.key\n{extra}"
        )
        return int(broker.start().port)

    return start


def tls(certificates: Path, client: str = "") -> str:
    cert = (
        f", cert: {certificates / client}.pem, key: {certificates / client}.key" if client else ""
    )
    return f", tls: {{ca: {certificates / 'ca.pem'}{cert}}}"


def test_good_certificates_tell_their_dates(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    port = tls_broker(extra="require_certificate true\nuse_identity_as_username true\n")
    findings = ask(port, tls(certificates, "client"), host="localhost")
    assert verdicts(findings) == ["name ok", "tcp ok", "tls ok", "certificate ok", *LAST]
    assert "the broker's certificate is good until" in findings["tls"].message
    assert "this device's certificate is good until" in findings["certificate"].message


def test_a_certificate_that_ends_soon_is_told(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    findings = ask(tls_broker("ending"), tls(certificates), host="localhost")
    assert verdicts(findings)[2:] == ["tls warn", "login ok", "publish ok"]
    assert "days more" in findings["tls"].message


def test_an_expired_certificate_fails(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    findings = ask(tls_broker("expired"), tls(certificates), host="localhost")
    assert verdicts(findings)[2:] == ["tls fail", "login skipped", "publish skipped"]
    assert "certificate has expired" in findings["tls"].message
    assert "renew the broker's certificate" in findings["tls"].hint


def test_a_certificate_for_another_name_fails(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    port = tls_broker()
    findings = ask(port, tls(certificates))
    assert findings["tls"].verdict == "fail"
    assert "127.0.0.1" in findings["tls"].message
    assert f"openssl s_client -connect 127.0.0.1:{port}" in findings["tls"].hint


def test_an_authority_that_nobody_knows_fails(
    tls_broker: Any, ask: Callable[..., Findings]
) -> None:
    findings = ask(tls_broker(), ", tls: {}", host="localhost")
    assert findings["tls"].verdict == "fail"
    assert "mqtt.tls.ca" in findings["tls"].hint


def test_an_expired_certificate_of_this_device_fails(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    findings = ask(tls_broker(), tls(certificates, "former"), host="localhost")
    assert verdicts(findings)[3:] == ["certificate fail", "login skipped", "publish skipped"]
    assert "this device's certificate" in findings["certificate"].message
    assert "expired" in findings["certificate"].message
    assert "openssl x509 -in" in findings["certificate"].hint


def test_a_key_of_another_certificate_fails(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    more = tls(certificates, "client").replace("client.key", "server.key")
    findings = ask(tls_broker(), more, host="localhost")
    fault = findings.get("certificate", findings["tls"])
    assert fault.verdict == "fail"


def test_tls_on_a_port_without_it_fails(
    shared_mosquitto: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    findings = ask(shared_mosquitto.port, tls(certificates), host="localhost")
    assert findings["tls"].verdict == "fail"


def test_the_days_left_are_counted_by_this_device_clock(
    tls_broker: Any, certificates: Path, ask: Callable[..., Findings]
) -> None:
    late = FakeClock(time.time() + 280 * DAY_S)
    findings = ask(tls_broker(), tls(certificates), host="localhost", clock=late)
    assert findings["tls"].verdict == "warn"
