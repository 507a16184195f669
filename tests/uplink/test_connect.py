"""How a connection comes about, and one clear sentence for each way in which it does not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.uplink.bell import Bell
from edge_agent.uplink.client import Session
from edge_agent.uplink.connect import ConnectFailed, Connector
from edge_agent.uplink.link import Broker, Packet, Tls

WILL = Packet("edge/v1/none/status", b"{}", retain=False)


def connect(port: int, stop: Callable[[], bool] = lambda: False, **settings) -> Session | None:
    settings = {"host": "127.0.0.1", "connect_timeout_s": 2.0} | settings
    return Connector(Broker(port=port, **settings), Bell()).connect(WILL, stop)


def refusal(port: int, **settings) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        connect(port, **settings)
    assert caught.value.next
    return caught.value


# --- the version of the protocol -----------------------------------------------------------------


def only_version_4(answer: bytes) -> Callable[[bytes], bytes | None]:
    """The porter of a broker that knows nothing newer than MQTT 3.1.1 (level 4)."""

    def porter(first: bytes) -> bytes | None:
        level = first[first.index(b"MQTT") + 4]
        return None if level == 4 else answer

    return porter


def test_mqtt_5_is_spoken_where_the_broker_can(shared_mosquitto) -> None:
    session = connect(shared_mosquitto.port)
    assert session is not None
    assert session.protocol == "5"
    session.close(1.0)


@pytest.mark.parametrize(
    "answer",
    [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"],
    ids=["in 3.1.1's words", "in 5's words"],
)
def test_a_broker_that_refuses_5_gets_3_1_1(shared_mosquitto, proxy_to, answer: bytes) -> None:
    old = proxy_to(shared_mosquitto.port)
    old.porter = only_version_4(answer)
    session = connect(old.port)
    assert session is not None
    assert session.protocol == "3.1.1"
    session.close(1.0)


def test_a_broker_that_hangs_up_on_5_gets_3_1_1_at_the_second_time(
    shared_mosquitto, proxy_to
) -> None:
    old = proxy_to(shared_mosquitto.port)
    old.porter = only_version_4(b"")
    connector = Connector(Broker("127.0.0.1", old.port), Bell())
    with pytest.raises(ConnectFailed, match="closed the connection before it answered"):
        connector.connect(WILL, lambda: False)
    session = connector.connect(WILL, lambda: False)
    assert session is not None
    assert session.protocol == "3.1.1"
    session.close(1.0)


def test_a_version_that_the_configuration_demands_is_never_changed(
    shared_mosquitto, proxy_to
) -> None:
    old = proxy_to(shared_mosquitto.port)
    old.porter = only_version_4(b"\x20\x02\x00\x01")
    assert "Unsupported protocol version" in refusal(old.port, protocol="5").message
    session = connect(shared_mosquitto.port, protocol="3.1.1")
    assert session is not None
    assert session.protocol == "3.1.1"
    session.close(1.0)


def test_under_3_1_1_everything_arrives_too_and_facts_say_so(
    shared_mosquitto, proxy_to, receive, publish, device, eventually
) -> None:
    old = proxy_to(shared_mosquitto.port)
    old.porter = only_version_4(b"\x20\x02\x00\x01")
    receiver = receive(shared_mosquitto.port, device)
    running = publish(old.port)
    running.publisher.retained("health", {"reasons": []})
    for _ in range(50):
        running.put()
    eventually(lambda: not running.outbox.rows, "all are acknowledged")
    eventually(lambda: len(receiver.on("alert")) == 50, "all arrived")
    assert running.publisher.facts().protocol == "3.1.1"
    assert receiver.on("health")[0]["data"]["protocol"] == "3.1.1"


# --- no connection -------------------------------------------------------------------------------


def test_a_closed_port_is_refused_in_one_sentence(new_mosquitto) -> None:
    port = new_mosquitto().port  # never started
    assert refusal(port).message == f"127.0.0.1:{port} refuses connections"


def test_a_name_that_does_not_exist_is_said(new_mosquitto) -> None:
    assert "no-such-broker.invalid cannot be resolved" in (
        refusal(1883, host="no-such-broker.invalid").message
    )


def test_a_host_that_is_no_name_is_said() -> None:
    assert "is no host name" in refusal(1883, host="a" * 70 + ".local").message


def test_a_black_hole_that_accepts_and_stays_silent_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        port = hole.getsockname()[1]
        began = time.monotonic()
        message = refusal(port, connect_timeout_s=0.5).message
    assert message == f"127.0.0.1:{port} does not answer within 0.5 s"
    assert time.monotonic() - began < 5.0


def test_a_server_that_is_no_broker_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            client, _ = server.accept()
            client.recv(1000)
            client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            client.close()

        threading.Thread(target=greet, daemon=True).start()
        message = refusal(server.getsockname()[1]).message
    assert "closed the connection before it answered" in message


def test_a_lookup_that_hangs_is_left_in_time_and_never_runs_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, lookups = threading.Event(), []

    def hang(*arguments, **_):
        lookups.append(arguments)
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    connector = Connector(Broker("broker.example", connect_timeout_s=0.2), Bell())
    try:
        with pytest.raises(ConnectFailed, match=r"does not answer within 0\.2 s"):
            connector.connect(WILL, lambda: False)
        with pytest.raises(ConnectFailed, match="still hangs"):
            connector.connect(WILL, lambda: False)
    finally:
        released.set()
    assert len(lookups) == 1


def test_an_attempt_ends_at_once_when_asked_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        asked = threading.Event()
        threading.Timer(0.2, asked.set).start()
        began = time.monotonic()
        session = connect(hole.getsockname()[1], asked.is_set, connect_timeout_s=60.0)
    assert session is None
    assert time.monotonic() - began < 10.0


# --- who may connect -----------------------------------------------------------------------------


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not here: sudo apt-get install mosquitto")
    file = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(file), "dock-07", "right"], check=True)
    return file


def test_a_wrong_password_is_said_and_the_right_one_works(new_mosquitto, passwords: Path) -> None:
    broker = new_mosquitto(f"password_file {passwords}\n").start()
    wrong = refusal(broker.port, username="dock-07", password="wrong")
    assert "refuses the connection: Not authorized" in wrong.message
    assert "mqtt.password" in wrong.next
    assert "wrong" not in repr(Broker("h", username="u", password="wrong"))
    session = connect(broker.port, username="dock-07", password="right")
    assert session is not None
    session.close(1.0)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server's certificate for the name localhost, and a client's."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here: sudo apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    # Python 3.13 checks strictly (RFC 5280): an authority must say that it signs certificates.
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA",
        *usage)  # fmt: skip
    identifiers = "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    for name, extension in (("server", "subjectAltName=DNS:localhost"), ("client", "")):
        run(
            "req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        (folder / "extensions").write_text(identifiers + extension)
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", f"{name}.pem", "-extfile", "extensions")  # fmt: skip
    return folder


@pytest.fixture
def tls_broker(new_mosquitto, certificates: Path):
    return new_mosquitto(
        f"cafile {certificates / 'ca.pem'}\ncertfile {certificates / 'server.pem'}\n"
        f"keyfile {certificates / 'server.key'}\nrequire_certificate true\n"
    ).start()


def test_tls_with_a_client_certificate_carries_everything(
    tls_broker, publish, outbox, certificates: Path, eventually
) -> None:
    for _ in range(300):
        outbox.fill()
    client = Tls(certificates / "ca.pem", certificates / "client.pem", certificates / "client.key")
    running = publish(tls_broker.port, outbox, host="localhost", tls=client)
    eventually(lambda: not outbox.rows, "all are acknowledged")
    assert running.publisher.facts().session == 1


def test_a_certificate_for_another_name_is_not_accepted(tls_broker, certificates: Path) -> None:
    client = Tls(certificates / "ca.pem", certificates / "client.pem", certificates / "client.key")
    message = refusal(tls_broker.port, host="127.0.0.1", tls=client).message
    assert "is not accepted" in message
    assert "IP address mismatch" in message


def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    tls_broker, certificates: Path
) -> None:
    unknown = refusal(tls_broker.port, host="localhost", tls=Tls())
    assert "is not accepted" in unknown.message
    assert "clock" in unknown.next


def test_a_tls_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "mqtt.tls" in refusal(8883, tls=Tls(ca=tmp_path / "no.pem")).next


def test_tls_to_a_port_without_it_is_said(shared_mosquitto) -> None:
    message = refusal(shared_mosquitto.port, host="localhost", tls=Tls()).message
    assert "TLS with" in message or "does not answer" in message or "cannot be reached" in message


# --- the last will -------------------------------------------------------------------------------

CHILD = """
import sys, threading
from edge_agent.host.clock import Clock
from edge_agent.uplink.link import Broker
from edge_agent.uplink.outbox import Identity
from edge_agent.uplink.publisher import Publisher

class Nothing:
    depth, oldest_seq, newest_seq, last_seq = 0, None, None, 0

class Empty:
    def pending(self, limit, after, urgent): return []
    def acknowledge(self, seqs): raise AssertionError
    def depth(self): return Nothing

identity = Identity(sys.argv[2], "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", 7, "0.1")
publisher = Publisher(Broker("127.0.0.1", int(sys.argv[1])), identity, Empty(), Clock())
publisher.run(threading.Event())
"""


def test_the_broker_says_offline_when_the_process_is_killed(
    shared_mosquitto, receive, device, eventually
) -> None:
    receiver = receive(shared_mosquitto.port, device)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(shared_mosquitto.port), device])
    try:
        eventually(lambda: receiver.on("status"), "online arrived")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    online, offline = eventually(
        lambda: len(receiver.on("status")) == 2 and receiver.on("status"), "the will arrived"
    )
    assert online["data"]["status"] == "online"
    said = {"status": "offline", "boot": 7, "session": 1, "version": "0.1", "site": None}
    assert offline["data"] == {**said, "tags": {}}
    assert offline["seq"] is None
    assert json.dumps(offline["session"]) == json.dumps(online["session"]) == "1"


def test_websockets_carry_everything_too(new_mosquitto, publish, outbox, eventually) -> None:
    for _ in range(100):
        outbox.fill()
    plain = new_mosquitto().port  # mosquitto 2.0 does not start with websockets alone
    broker = new_mosquitto(f"protocol websockets\nlistener {plain} 127.0.0.1\n").start()
    publish(broker.port, outbox, transport="websockets")
    eventually(lambda: not outbox.rows, "all are acknowledged")


def test_the_reason_for_which_a_broker_hangs_up_is_told(
    shared_mosquitto, publish, proxy_to, eventually
) -> None:
    path = proxy_to(shared_mosquitto.port)
    running = publish(path.port)
    eventually(lambda: running.publisher.facts().connected, "connected")
    path.tell(b"\xe0\x02\x8e\x00")  # DISCONNECT, another device has the same name
    eventually(
        lambda: "Session taken over" in (running.publisher.facts().last_error or ""), "the reason"
    )
