"""Does a message reach the broker? Name, TCP, TLS, login, ACL: the first that fails ends it.

Rules: with a client id of its own, so that the running agent keeps its connection, and without a
last will. The test message goes to `edge/v1/<device>/doctor`, without a seq, not retained, in the
envelope that receivers know. Only under MQTT 5 does a broker say that it refused a message.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, perf_counter

from edge_agent import __version__
from edge_agent.config.explain import resolve_id
from edge_agent.errors import EdgeError, NotRunning
from edge_agent.host.board import read_board
from edge_agent.policy.documents import rfc3339
from edge_agent.policy.envelope import Sender, encode
from edge_agent.service.broker import broker_of
from edge_agent.service.control import ask
from edge_agent.service.doctor_finding import Case, Said, fail, ok, shell, skipped, warn
from edge_agent.store.query import open_reader
from edge_agent.store.rows import Identity
from edge_agent.types import Message
from edge_agent.uplink.bell import Bell
from edge_agent.uplink.certificates import broker_certificate, own_certificate
from edge_agent.uplink.client import Session
from edge_agent.uplink.connect import Connector, explained
from edge_agent.uplink.link import Broker, Disconnected, Packet, Tls

TOPIC = "doctor"
#: Of the envelope, where no agent has made a store yet.
NO_STORE = Identity("00000000-0000-0000-0000-000000000000", 0)
PATIENCE_S = 5.0
DAY_S = 86_400.0
#: A certificate that ends sooner is worth a word.
SOON_DAYS = 30
STEPS = ("name", "tcp", "tls", "certificate", "login", "publish")


def broker(case: Case) -> Iterator[Said]:
    """Each step on the way, and those after a failed one as skipped."""
    config = case.loaded
    if config.mqtt is None:
        yield skipped("no mqtt is configured: nothing leaves this device")
        return
    board = read_board(case.here.root)
    device = resolve_id(config.device.id, board.hostname, board.serial or "")
    try:
        meant = broker_of(config.mqtt, device)
    except EdgeError as fault:
        yield fail(fault.message, fault.next)  # a password, before any step
        return
    if config.mqtt.budget.mb_per_day is not None:
        yield _budget(case)
    meant = replace(meant, client_id=f"{meant.client_id}-doctor", connect_timeout_s=PATIENCE_S)
    done = []
    for said in _steps(meant, device, case):
        yield said
        done.append(said.part)
        if said.verdict == "fail":
            failed = said.part
            rest = [step for step in STEPS[STEPS.index(failed) + 1 :] if step != "certificate"]
            for step in rest:
                yield skipped(f"not looked at: {failed} must pass first", step)
            return


# --- below: the steps ----------------------------------------------------------------------------


def _steps(meant: Broker, device: str, case: Case) -> Iterator[Said]:
    yield _name(meant)
    yield _tcp(meant)
    if meant.tls is None:
        yield skipped("no tls is configured: everything is sent in plain text", "tls")
    else:
        yield from _tls(meant, meant.tls, case)
    bell = Bell()
    try:
        session = Connector(meant, bell).connect(None, lambda: False)
    except EdgeError as fault:
        yield fail(fault.message, fault.next, "login")
        return
    assert session is not None  # nobody asked it to stop
    try:
        yield ok(f"accepted as {_who(meant)}, MQTT {session.protocol}", "login")
        yield _publish(session, _test_message(device, case))
    finally:
        session.close(1.0)


def _who(meant: Broker) -> str:
    if meant.username is not None:
        return f"user {meant.username}"
    shows = meant.tls is not None and meant.tls.cert is not None
    return "the client's certificate says" if shows else "anonymous"


def _budget(case: Case) -> Said:
    """Only the running agent knows how much left."""
    try:
        found = (ask(case.state, "status")["broker"] or {}).get("budget")
    except NotRunning:
        return skipped(
            "how much of the day's budget is spent is told by the running agent", "budget"
        )
    if found is None:
        return skipped("the running agent has no budget yet", "budget")
    of = f"{found['sent_mb']:.3g} of {found['mb_per_day']:g} MB were sent in the last 24 hours"
    if found["opens"] is None:
        return ok(of, "budget")
    message = f"{of}: only alerts leave until {found['opens']}, the rest is folded"
    return warn(message, "raise mqtt.budget.mb_per_day, or summary.every_s", "budget")


def _name(meant: Broker) -> Said:
    try:
        found = socket.getaddrinfo(meant.host, meant.port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        fault = explained(error, meant)
        return fail(fault.message, f"getent hosts {shell(meant.host)}", "name")
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if addresses == [meant.host]:
        return ok(f"{meant.host} is an address, nobody needs to be asked", "name")
    return ok(f"{meant.host} is {', '.join(addresses[:3])}", "name")


def _tcp(meant: Broker) -> Said:
    began = perf_counter()
    try:
        socket.create_connection((meant.host, meant.port), PATIENCE_S).close()
    except OSError as error:
        fault = explained(error, meant)
        return fail(fault.message, f"{fault.next}: nc -vz {shell(meant.host)} {meant.port}", "tcp")
    return ok(f"{meant.address} answers in {1000 * (perf_counter() - began):.1f} ms", "tcp")


def _tls(meant: Broker, tls: Tls, case: Case) -> Iterator[Said]:
    now = case.here.clock.now() + case.here.clock.wall_offset()
    try:
        end = broker_certificate(meant, tls)
    except OSError as error:
        yield _tls_fault(error, meant)
        return
    yield _dated("the broker's certificate", end, now)
    if tls.cert is not None:
        yield _own(tls.cert, tls.key, now)


def _tls_fault(error: OSError, meant: Broker) -> Said:
    """With the date and the name looked at: what a person does differs."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return fail(f"the TLS files cannot be used: {error}", "correct mqtt.tls", "tls")
    fault = explained(error, meant)
    look = f"openssl s_client -connect {shell(meant.address)} </dev/null"
    hints = {
        9: "set this device's clock: timedatectl",
        10: "renew the broker's certificate; or is this device's clock wrong? see: timedatectl",
        62: f"write the name that it bears into mqtt.host; it is told by: {look}",
        64: f"write the name that it bears into mqtt.host; it is told by: {look}",
    }
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    return fail(fault.message, hints.get(code, f"{fault.next} It shows itself by: {look}"), "tls")


def _own(cert: Path, key: Path | None, now: float) -> Said:
    try:
        end = own_certificate(cert, key)
    except OSError as error:
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error
        message = f"this device's certificate {cert} cannot be used: {reason}"
        hint = f"see: openssl x509 -in {shell(cert)} -noout -dates -subject"
        return fail(message, hint, "certificate")
    return replace(_dated("this device's certificate", end, now), part="certificate")


def _dated(whose: str, end: float, now: float) -> Said:
    days = (end - now) / DAY_S
    message = f"{whose} is good until {rfc3339(end)[:10]}"
    if days < SOON_DAYS:
        return warn(f"{message}, {days:.0f} days more", "renew it in time", "tls")
    return ok(message, "tls")


def _test_message(device: str, case: Case) -> Packet:
    """What receivers take for one more message without a seq."""
    try:
        with open_reader(case.state) as reader:
            store = reader.last_status().identity
    except EdgeError:
        store = NO_STORE
    now = case.here.clock.now()
    word = "synced" if case.here.clock.synced() else "unsynced"
    body = {"version": __version__}
    message = Message(
        None, f"doctor/{round(now * 1000)}", TOPIC, 1, False, now, body, store.boot, word
    )
    payload = encode(message, Sender(device, store.store, session=0), now)
    return Packet(f"edge/v1/{device}/{TOPIC}", payload, retain=False)


def _publish(session: Session, packet: Packet) -> Said:
    topic = packet.topic
    allow = f"let this user write to {topic.removesuffix(TOPIC)}# in the broker's ACL"
    try:
        number = session.publish(packet)
        end = monotonic() + PATIENCE_S
        while monotonic() < end:
            for answer in session.wait(0.1):
                if answer.mid == number:
                    return _answered(answer.refused, session, topic, allow)
    except Disconnected as reason:
        return fail(f"the broker hung up on a message to {topic}: {reason}", allow, "publish")
    return fail(f"no answer to a message to {topic}", "look at the broker's log", "publish")


def _answered(refused: str | None, session: Session, topic: str, allow: str) -> Said:
    if refused is not None:
        return fail(f"the broker refuses a message to {topic}: {refused}", allow, "publish")
    if session.protocol != "5":
        message = f"a message to {topic} was answered; under MQTT 3.1.1 that says little"
        return warn(message, "let the broker speak MQTT 5: mqtt.protocol: auto", "publish")
    return ok(f"a message to {topic} was accepted", "publish")
