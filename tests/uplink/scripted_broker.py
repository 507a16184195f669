"""A broker of MQTT 5 that answers as a test says: what no real one can be brought to do.

It knows CONNECT, PUBLISH with QoS 1 and PINGREQ. `answer(topic, payload)` gives the reason code of
the PUBACK, `HANG_UP`, or None for silence.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

HANG_UP = -1
CONNECT, PUBLISH, PINGREQ = 1, 3, 12


class ScriptedBroker:
    """One thread per client. `got`: (topic, payload) in order; `connects`: when each came."""

    def __init__(self, answer: Callable[[str, bytes], int | None]) -> None:
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.got: list[tuple[str, bytes]] = []
        self.connects: list[float] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        stream = client.makefile("rb")
        try:
            while first := stream.read(1):
                kind, body = first[0] >> 4, stream.read(_length(stream))
                if not self._reply(client, kind, body):
                    break
        except OSError:
            pass  # the client hung up
        finally:
            stream.close()
            client.close()

    def _reply(self, client: socket.socket, kind: int, body: bytes) -> bool:
        """Whether the conversation goes on."""
        if kind == CONNECT:
            self.connects.append(time.monotonic())
            client.sendall(b"\x20\x03\x00\x00\x00")
        elif kind == PINGREQ:
            client.sendall(b"\xd0\x00")
        elif kind == PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            topic, mid, payload = body[2:end].decode(), body[end : end + 2], body[end + 3 :]
            self.got.append((topic, payload))
            said = self._answer(topic, payload)
            if said == HANG_UP:
                return False
            if said is not None:
                client.sendall(b"\x40\x03" + mid + bytes([said]))
        return True

    def count(self, words: bytes) -> int:
        return sum(words in payload for _, payload in self.got)

    def close(self) -> None:
        self._server.close()


def _length(stream: object) -> int:
    total, shift = 0, 0
    while True:
        byte = stream.read(1)[0]  # type: ignore[attr-defined]
        total |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return total
