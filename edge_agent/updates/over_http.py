"""Bytes over http(s): bounded in time at every step, resumable, through proxies and redirects.

Rules: the environment's proxies are obeyed (http_proxy, https_proxy, no_proxy); at most five
redirects, none from https to http; a silent server ends by the socket's time-out, one that dribbles
its headers by a timer, one that dribbles its body by the least rate. Certificates are judged by
`ota.ca` where it is named, else by the system's own.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from edge_agent import __version__
from edge_agent.updates.failures import LATER, NotServed, Unreachable
from edge_agent.updates.limits import Limits
from edge_agent.updates.opened import Opened, Rate

PIECE = 64 * 1024
MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
#: Of the 4xx those that another attempt may turn.
_PASSING = (408, 425, 429)
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class HttpOpener:
    """One for a check: connections are kept between its requests."""

    def __init__(self, limits: Limits, ca: str | None = None) -> None:
        self._limits = limits
        self._ca = ca
        self._managers: dict[str, urllib3.PoolManager] = {}

    @contextmanager
    def open(self, url: str, start: int = 0) -> Iterator[Opened]:
        """What lies there, from `start` on if the server can. Raises Unreachable, NotServed."""
        response, reached = self._follow(url, start)
        try:
            if response.status not in (200, 206):
                raise _refusal(reached, response.status)
            yield Opened(_first_byte(response, reached, start), self._pieces(response, reached))
        finally:
            # What was not read to its end would be the beginning of the next answer.
            response.close()
            response.release_conn()

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def _follow(self, url: str, start: int) -> tuple[BaseHTTPResponse, str]:
        for _ in range(MOST_REDIRECTS + 1):
            response = self._request(url, start)
            if response.status not in _REDIRECTS:
                return response, url
            response.close()
            url = _led_to(url, response)
        raise NotServed(f"{url} leads on and on", "ask who runs the repository", 310)

    def _request(self, url: str, start: int) -> BaseHTTPResponse:
        headers = {"User-Agent": f"edge-agent/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        limits = self._limits
        try:
            return self._manager(url).request(
                "GET",
                url,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=limits.connect_s, read=limits.silence_s),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
            raise _unreachable(url, fault, limits) from fault

    def _pieces(self, response: BaseHTTPResponse, url: str) -> Iterator[bytes]:
        rate = Rate(self._limits, url)
        while True:
            try:
                piece = response.read1(PIECE)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
                raise _unreachable(url, fault, self._limits) from fault
            if not piece:
                return
            rate.came(len(piece))
            yield piece

    def _manager(self, url: str) -> urllib3.PoolManager:
        proxy = _proxy_for(url)
        if proxy not in self._managers:
            self._managers[proxy] = self._make_manager(proxy)
        return self._managers[proxy]

    def _make_manager(self, proxy: str) -> urllib3.PoolManager:
        try:
            trusted = ssl.create_default_context(cafile=self._ca)
        except OSError as fault:  # ssl.SSLError is one
            raise Unreachable(
                f"the certificates in {self._ca} cannot be read: {fault}", "correct ota.ca"
            ) from fault
        made: urllib3.PoolManager
        if proxy:
            login = urllib3.util.parse_url(proxy).auth
            headers = urllib3.util.make_headers(proxy_basic_auth=login) if login else None
            made = urllib3.ProxyManager(proxy, ssl_context=trusted, proxy_headers=headers)
        else:
            made = urllib3.PoolManager(ssl_context=trusted)
        made.pool_classes_by_scheme = _punctual_pools(self._limits.answer_s)
        return made


def _led_to(url: str, response: BaseHTTPResponse) -> str:
    """Where a redirect leads. Raises NotServed where nobody should follow."""
    given = response.headers.get("Location", "")
    try:
        target = urljoin(url, given)
        scheme = urlsplit(target).scheme
    except ValueError:
        scheme = ""
    allowed = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
    if scheme not in allowed:
        where = "away from https" if scheme == "http" else "to what is no web server"
        raise NotServed(
            f"{url} leads {where}: {given[:200]!r}", "ask who runs the repository", response.status
        )
    return target


def _proxy_for(url: str) -> str:
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(parts.netloc):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _punctual_pools(answer_s: float) -> dict[str, Any]:
    """urllib3 bounds the wait for each byte of the headers; these bound them all together."""

    class Plain(HTTPConnection):
        def getresponse(self) -> Any:
            with _hung_up_after(answer_s, self):
                return super().getresponse()

    class Tls(HTTPSConnection):
        def getresponse(self) -> Any:
            with _hung_up_after(answer_s, self):
                return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


@contextmanager
def _hung_up_after(seconds: float, connection: HTTPConnection) -> Iterator[None]:
    late = threading.Event()
    line: Any = connection.sock

    def hang_up() -> None:
        late.set()
        with suppress(OSError):
            # Not SSLSocket's own, which takes away the object that another thread reads from.
            socket.socket.shutdown(line, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, ValueError, HTTPException) as fault:
        if late.is_set():
            # Of urllib3's own kinds it would be taken for a silence.
            raise Unreachable(
                f"{connection.host} sent no whole answer within {seconds:g} s", LATER
            ) from fault
        raise
    finally:
        timer.cancel()


def _first_byte(response: BaseHTTPResponse, url: str, start: int) -> int:
    """Where the answer begins: a server that knows no ranges sends all of it again."""
    if response.status == 200:
        return 0
    match = _RANGE.match(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        raise Unreachable(f"{url} answers with other bytes than were asked for", LATER)
    return start


def _refusal(url: str, status: int) -> Unreachable | NotServed:
    if 400 <= status < 500 and status not in _PASSING:
        advice = {
            401: "the repository must be readable without a login",
            403: "ask who runs the repository whether this device may read it",
            404: "check ota.repository, and that the repository was copied whole",
        }.get(status, "ask who runs the repository")
        return NotServed(f"{url} is not served: HTTP {status}", advice, status)
    return Unreachable(f"{url} is not served now: HTTP {status}", LATER)


def _unreachable(url: str, fault: Exception, limits: Limits) -> Unreachable:
    host = urlsplit(url).netloc
    text = " ".join(str(fault).split())
    if isinstance(fault, urllib3.exceptions.SSLError) or "CERTIFICATE_VERIFY_FAILED" in text:
        return Unreachable(
            f"the certificate of {host} is not accepted: {text}",
            "check the clock of this device, and ota.ca",
        )
    if isinstance(fault, urllib3.exceptions.NameResolutionError):
        return Unreachable(f"the name {host} is not known here", "check the network and its DNS")
    if isinstance(fault, urllib3.exceptions.NewConnectionError):
        return Unreachable(f"{host} cannot be reached: {text}", LATER)
    if isinstance(fault, urllib3.exceptions.ConnectTimeoutError):  # the parent of those two
        return Unreachable(f"{host} does not answer within {limits.connect_s:g} s", LATER)
    if isinstance(fault, urllib3.exceptions.ReadTimeoutError):
        return Unreachable(f"{host} was silent for {limits.silence_s:g} s", LATER)
    return Unreachable(f"{host} cannot be read: {text}", LATER)
