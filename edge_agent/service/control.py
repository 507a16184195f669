"""The local control socket: one JSON line in, one JSON line out, over `control.sock`.

Rules: only the owner of the state directory can reach it (mode 0600). One request a connection; a
client that says nothing or too much is dropped within two seconds, and a slow answer (a reload
tries a model) holds nobody else. An error of the person comes back with its sentence and exit code.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

from edge_agent.errors import EdgeError, NotRunning, UsageError
from edge_agent.policy.vigil import Beat

log = logging.getLogger("edge_agent.control")

Arguments: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Arguments], dict[str, Any]]

NAME = "control.sock"
PATIENCE_S = 2.0
ANSWER_S = 15.0
#: A reload may try several models, each in a child process, before it answers.
RELOAD_S = 120.0
TRYING = frozenset(
    {"reload", "activate", "rollback", "ota-install", "policy-activate", "policy-rollback"}
)
LONGEST_REQUEST = 65_536
LONGEST_ANSWER = 4_194_304
WAIT_S = 0.2
#: Nothing that its own thread does takes so long.
LATE_S = 15.0
#: So many are served at the same time; the next one waits a moment, and is dropped then.
CLIENTS = 8
#: What a disk answers that is full, read-only or broken, and so often it is asked again.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
RETRY_S = 5.0


class ControlServer:
    """Answers each request in a thread of its own. The handlers may be called at the same time."""

    def __init__(self, state: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = state / NAME
        self._handlers = handlers
        self._free = threading.BoundedSemaphore(CLIENTS)
        self.beat = Beat("control", renewable=True)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. A disk that takes no socket is asked again; frames do not wait for it."""
        refusal = ""
        while not stop.is_set():
            self.beat.begin("making the socket", LATE_S)
            try:
                self._listen(stop)
            except OSError as error:
                if error.errno not in _DISK:
                    raise
                if refusal != str(error):
                    refusal = str(error)
                    log.error("no commands are taken, the disk refuses reason=%r", refusal)
                stop.wait(RETRY_S)

    def _listen(self, stop: threading.Event) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            self._path.unlink(missing_ok=True)  # of an agent that was killed; we hold its lock
            with reachable(self._path) as address:
                listener.bind(address)
            self._path.chmod(0o600)
            listener.listen(CLIENTS)
            listener.settimeout(WAIT_S)
            while not stop.is_set():
                self.beat.begin("waiting for a client", LATE_S)
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                self._attend(client)
        self._path.unlink(missing_ok=True)

    def _attend(self, client: socket.socket) -> None:
        """Serve it aside. A thread that is still at it ends with the process."""
        if not self._free.acquire(timeout=PATIENCE_S):
            client.close()
            log.warning("control request dropped, others are being served clients=%d", CLIENTS)
            return

        def attend() -> None:
            try:
                with client:
                    self._serve(client)
            finally:
                self._free.release()

        threading.Thread(target=attend, name="control client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(PATIENCE_S)
        try:
            request = json.loads(read_line(client, LONGEST_REQUEST))
            command, args = request["command"], dict(request.get("args") or {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as nonsense:
            # The client went away or spoke nonsense: its loss, not ours.
            log.info("control request dropped reason=%r", str(nonsense))
            return
        answer = json.dumps(self._answer(str(command), args), ensure_ascii=False)
        try:
            client.sendall(answer.encode() + b"\n")
        except OSError as gone:
            log.info("control answer not taken reason=%r", str(gone))

    def _answer(self, command: str, args: Arguments) -> dict[str, Any]:
        handler = self._handlers.get(command)
        try:
            if handler is None:
                raise UsageError(f"the agent knows no command {command!r}")
            return {"ok": True, "data": handler(args)}
        except EdgeError as fault:
            return failure(fault)
        except Exception as fault:
            log.exception("control command failed command=%s", command)
            return failure(EdgeError(f"{command} failed in the agent: {fault}", "see its log"))


def failure(fault: EdgeError) -> dict[str, Any]:
    error = {"code": fault.code, "message": fault.message, "next": fault.next}
    return {"ok": False, "error": error, "exit_code": fault.exit_code}


def ask(state: Path, command: str, **args: Any) -> dict[str, Any]:
    """Ask the running agent. Raises NotRunning, or the error that it answered."""
    patience_s = PATIENCE_S if command == "commit" else ANSWER_S
    if command in TRYING:
        patience_s = RELOAD_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(patience_s)
        try:
            with reachable(state / NAME) as address:
                client.connect(address)
            client.sendall(json.dumps({"command": command, "args": args}).encode() + b"\n")
            answer = json.loads(read_line(client, LONGEST_ANSWER))
        except (OSError, ValueError) as silence:
            raise _unanswered(silence, state, patience_s) from None
    if not answer["ok"]:
        error = answer["error"]
        fault = EdgeError(error["message"], error["next"])
        fault.code, fault.exit_code = error["code"], answer["exit_code"]
        raise fault
    data: dict[str, Any] = answer["data"]
    return data


def up_to_date(state: Path) -> None:
    """Have a running agent commit what it deferred, before somebody else reads or writes its
    database. One that is not there, or hangs, has the database as it stands."""
    with suppress(EdgeError):
        ask(state, "commit")


def _unanswered(fault: OSError | ValueError, state: Path, patience_s: float) -> EdgeError:
    """Not to be let in, and to wait in vain, is not the same as that nobody is there."""
    match fault:
        case PermissionError():
            return UsageError(f"{state / NAME}: Permission denied", "run as the agent's user")
        case TimeoutError():
            silent = NotRunning(
                f"the agent on {state} does not answer within {patience_s:.0f} s",
                "restart it: systemctl restart edge-agent",
            )
            silent.code = "not_answering"
            return silent
    return NotRunning(
        f"no agent is running on {state}",
        "start it: edge-agent run -c FILE (or: systemctl start edge-agent)",
    )


def read_line(peer: socket.socket, limit: int) -> bytes:
    """One line of at most `limit` bytes. Raises ValueError for more or for none."""
    data = bytearray()
    deadline = monotonic() + (peer.gettimeout() or PATIENCE_S)
    while not data.endswith(b"\n"):
        if monotonic() > deadline:  # one byte now and then must not hold us
            raise TimeoutError("the line did not end in time")
        piece = peer.recv(4096)
        if not piece:
            break
        data += piece
        if len(data) > limit:
            raise ValueError("the line is too long")
    if not data:
        raise ValueError("the connection was closed without a line")
    return bytes(data)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A socket's address holds 107 bytes: a deep state directory is reached by a descriptor."""
    if len(str(path).encode()) <= 107:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
