"""A publisher in its thread, a proxy that cuts, and an outbox in memory; see `tests/broker.py`."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from broker import PATIENCE_S

from edge_agent.host.fake import FakeClock
from edge_agent.policy.backoff import Backoff
from edge_agent.types import Message
from edge_agent.uplink.inbox import Inbox
from edge_agent.uplink.link import Broker
from edge_agent.uplink.memory import MemoryOutbox
from edge_agent.uplink.outbox import Identity, Pace
from edge_agent.uplink.publisher import Publisher

# --- who sends -----------------------------------------------------------------------------------


class BreakableOutbox(MemoryOutbox):
    """An outbox that a test fills by hand and may break."""

    broken: Exception | None = None

    def fill(self, topic: str = "alert", time: float = 1_700_000_000.0, **body: Any) -> Message:
        return self.put(topic, body or {"n": len(self.rows)}, time)

    def acknowledge(self, seqs: Sequence[int]) -> None:
        if self.broken is not None:
            raise self.broken
        super().acknowledge(seqs)


#: Everything that waits in production, hurried.
QUICK = Pace(
    ack_every_s=0.02,
    retained_every_s=0.05,
    reconnect=Backoff(base_s=0.05, cap_s=0.2, floor_s=0.02, stable_s=0.5),
    refused=Backoff(base_s=0.02, cap_s=0.1, floor_s=0.01),
)


class Running:
    """A publisher in its thread."""

    def __init__(self, publisher: Publisher, outbox: BreakableOutbox) -> None:
        self.publisher = publisher
        self.outbox = outbox
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.publisher.run(self._stop)
        except Exception as error:
            self.error = error

    def put(self, topic: str = "alert", **body: Any) -> Message:
        message = self.outbox.fill(topic, **body)
        self.publisher.notify()
        return message

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> float:
        """How long it took to return."""
        began = time.monotonic()
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the publisher did not return after stop"
        return time.monotonic() - began


@pytest.fixture
def quick() -> Pace:
    return QUICK


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """A device name of this test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]


@pytest.fixture
def publish(device: str) -> Iterator[Callable[..., Running]]:
    """`publish(port, **broker)`: a running publisher with an outbox in memory."""
    running: list[Running] = []

    def start(
        port: int,
        outbox: BreakableOutbox | None = None,
        inbox: Inbox | None = None,
        **settings: Any,
    ) -> Running:
        outbox = outbox or BreakableOutbox()
        settings = {"host": "127.0.0.1", "connect_timeout_s": 2.0, "pace": QUICK} | settings
        broker = Broker(port=port, client_id=device, **settings)
        identity = Identity(device, "5f1c7f0e-7f53-4ad4-8f05-0c6de3f6a1b2", boot=7, version="0.1")
        running.append(Running(Publisher(broker, identity, outbox, FakeClock(), inbox), outbox))
        return running[-1]

    yield start
    for publisher in running:
        publisher.stop()


@pytest.fixture
def outbox() -> BreakableOutbox:
    return BreakableOutbox()


# --- what stands between -------------------------------------------------------------------------


class Proxy:
    """A TCP path to a broker, with its faults.

    `is_shut`: it hangs up. `swallows`: answers never come back. `porter`: sees the first bytes of
    a client and gives the answer with which it is turned away, or None to let it in.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.is_shut = False
        self.swallows = False
        self.porter: Callable[[bytes], bytes | None] = lambda first: None
        self.sent = bytearray()  # what clients sent through it
        self._clients: list[socket.socket] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._meet, args=(client,), daemon=True).start()

    def _meet(self, client: socket.socket) -> None:
        try:
            first = b"" if self.is_shut else client.recv(65536)
            refusal = self.porter(first) if first else b""
            if refusal is not None:
                client.sendall(refusal)
                client.close()
                return
            broker = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._clients.append(client)
        self._open += [client, broker]
        self.sent += first
        broker.sendall(first)
        threading.Thread(target=self._pump, args=(broker, client, True), daemon=True).start()
        self._pump(client, broker, is_answer=False)

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        try:
            while data := source.recv(65536):
                if not is_answer:
                    self.sent += data
                if not (is_answer and self.swallows):
                    sink.sendall(data)
        except OSError:
            pass  # the other direction was cut
        source.close()
        sink.close()

    def tell(self, words: bytes) -> None:
        """Say something to the latest client in the broker's place."""
        self._clients[-1].sendall(words)

    def cut(self) -> None:
        """Break every connection there is."""
        for end in self._open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed already
        self._open.clear()

    def close(self) -> None:
        self._server.close()
        self.cut()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    proxies: list[Proxy] = []

    def make(target: int) -> Proxy:
        proxies.append(Proxy(target))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()
