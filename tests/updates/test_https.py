"""https: judged by `ota.ca`, never led away from, bounded like everything else."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import Handler, Server, serving
from ota_box import LIMITS
from signed_repository import SignedRepository

from edge_agent.updates.failures import NotServed, Unreachable
from edge_agent.updates.over_http import HttpOpener


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the name localhost, signed by itself; its key beside it."""
    openssl = shutil.which("openssl") or pytest.skip("openssl is not here")
    folder = tmp_path_factory.mktemp("certificate")
    usage = "keyUsage=critical,keyCertSign,digitalSignature"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-addext", usage),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "server.pem"


@pytest.fixture
def secure(signed: SignedRepository, certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("server.key"))
    with serving(signed.folder, context) as server:
        yield server


def read(server: Server, name: str = "metadata/timestamp.json", ca: Path | None = None) -> bytes:
    url = f"https://localhost:{server.server_port}/{name}"
    limits = replace(LIMITS, answer_s=1.0)
    with closing(HttpOpener(limits, ca and str(ca))) as opener, opener.open(url) as answer:
        return b"".join(answer.pieces)


def test_the_certificate_is_judged_by_the_one_that_is_named(
    secure: Server, signed: SignedRepository, certificate: Path
) -> None:
    timestamp = (signed.folder / "metadata" / "timestamp.json").read_bytes()
    assert read(secure, ca=certificate) == timestamp
    with pytest.raises(Unreachable, match=r"certificate of localhost.* is not accepted") as caught:
        read(secure)
    assert "ota.ca" in caught.value.next


def test_a_ca_that_is_none(secure: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing of the kind")
    for name in ("ca.pem", "nowhere.pem"):
        with pytest.raises(Unreachable, match=f"{name} cannot be read") as caught:
            read(secure, ca=tmp_path / name)
        assert caught.value.next == "correct ota.ca"


def test_nobody_is_led_away_from_https(secure: Server, server: Server, certificate: Path) -> None:
    def lead(handler: Handler, path: Path) -> bool:
        handler.send_response(302)
        handler.send_header("Location", f"{server.url}{handler.path}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    secure.tricks.append(lead)
    with pytest.raises(NotServed, match="leads away from https"):
        read(secure, ca=certificate)
    assert server.asked == []


def test_headers_by_drops_within_tls(secure: Server, certificate: Path) -> None:
    def drip(handler: Handler, path: Path) -> bool:
        while not secure.over.wait(0.1):
            handler.wfile.write(b"H")
            handler.wfile.flush()
        return True

    secure.tricks.append(drip)
    with pytest.raises(Unreachable, match="no whole answer within 1 s"):
        read(secure, ca=certificate)
