"""May the agent's user read and write what it must, and nobody else what is secret?

That user is the one to whom the state directory belongs, because `doctor` may be run by root, or by
a person who is neither. Judged by owner, group and mode; access lists are not read.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from edge_agent.config.camera_uri import device_path, is_device
from edge_agent.config.load import secrets_of
from edge_agent.config.schema import Config
from edge_agent.config.signal_uri import parse
from edge_agent.frozen import frozen
from edge_agent.host.gpio import LineSpec
from edge_agent.service.doctor_finding import Case, Said, fail, ok, shell, warn

READ, WRITE, ENTER = 4, 2, 1
#: Entries of the state directory that are looked at; evidence is not walked through.
_MOST = 1000


@frozen
class User:
    """Who the agent is."""

    name: str
    uid: int
    groups: frozenset[int]

    @classmethod
    def of(cls, uid: int) -> User:
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:  # of another machine's card, or of a container
            return cls(str(uid), uid, frozenset())
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        return cls(entry.pw_name, uid, frozenset(groups))

    def may(self, path: Path, wanted: int) -> bool:
        """`wanted` of READ, WRITE, ENTER, on the path itself. Raises OSError."""
        found = path.stat()
        if self.uid == 0:
            return True
        if found.st_uid == self.uid:
            bits = found.st_mode >> 6
        elif found.st_gid in self.groups:
            bits = found.st_mode >> 3
        else:
            bits = found.st_mode
        return bits & wanted == wanted

    def barrier(self, path: Path, wanted: int) -> Path | None:
        """What keeps the user from it: a folder above it, or itself; None: nothing does."""
        for folder in reversed(path.absolute().parents):
            if not self.may(folder, ENTER):
                return folder
        return None if self.may(path, wanted) else path


def permissions(case: Case) -> Iterator[Said]:
    """State directory, configuration, secrets, devices."""
    there = case.state.exists()
    user = User.of(case.state.stat().st_uid if there else os.geteuid())
    faults = list(_state_faults(case.state, user)) if there else []
    faults += _unreadable(case.path, user, "the configuration") if case.path.exists() else []
    if case.config is not None:
        faults += _secret_faults(case.config, user)
        faults += _device_faults(case.config, user)
    yield from faults
    if not faults:
        yield ok(f"the agent's user {user.name} may do what it must, and others may not")


# --- below ---------------------------------------------------------------------------------------


def _state_faults(state: Path, user: User) -> Iterator[Said]:
    own = READ | WRITE | ENTER
    if not user.may(state, own):
        hint = f"sudo chmod u+rwx {shell(state)}"
        yield fail(f"{user.name} may not write to its state directory {state}", hint)
    if state.stat().st_mode & 0o077:
        hint = f"sudo chmod 700 {shell(state)}"
        yield warn(f"others may look into the state directory {state}", hint)
    strangers = sorted(_strangers(state, user))
    if strangers:
        first, more = strangers[0], len(strangers) - 1
        others = f" and {more} more" if more else ""
        message = (
            f"{first}{others} belongs to another user than its directory ({user.name}): was the "
            "agent once started by hand?"
        )
        yield fail(message, f"sudo chown -R {user.name}: {shell(state)}")


def _strangers(state: Path, user: User) -> list[Path]:
    """Files of somebody else, at the top and one folder below: where the agent makes its own."""
    found = []
    try:
        for number, entry in enumerate((*state.iterdir(), *state.glob("models/*"))):
            if number == _MOST:
                break
            if entry.lstat().st_uid != user.uid:
                found.append(entry)
    except OSError:
        return found  # not ours to look at, or it vanished: the agent is at work
    return found


def _unreadable(path: Path, user: User, what: str) -> list[Said]:
    """Why the user cannot read that file, if so."""
    try:
        barrier = user.barrier(path, READ)
    except PermissionError:
        return [warn(f"{what} {path}: who may read it is hidden", "sudo edge-agent doctor")]
    except OSError as fault:
        return [fail(f"{what} {path}: {fault.strerror}", f"ls -l {shell(path)}")]
    if barrier is None:
        return []
    letters = "x" if barrier != path else "r"
    group = _group_of(user)
    hint = f"sudo chgrp {group} {shell(barrier)} && sudo chmod g+{letters} {shell(barrier)}"
    return [fail(f"{user.name} may not read {what} {path} (for {barrier})", hint)]


def _secret_faults(config: Config, user: User) -> Iterator[Said]:
    """Of passwords and keys; a credential of systemd is handed to the service alone."""
    secrets = [secret.path for secret in secrets_of(config).values()]
    for path in dict.fromkeys([*(path for path in secrets if path), *_private_keys(config)]):
        yield from _unreadable(path, user, "the secret")
        if path.is_file() and path.stat().st_mode & stat.S_IROTH:
            hint = f"sudo chmod o-r {shell(path)}"
            yield warn(f"every user of this machine may read the secret {path}", hint)


def _private_keys(config: Config) -> list[Path]:
    tls = config.mqtt.tls if config.mqtt is not None else None
    return [Path(tls.key)] if tls is not None and tls.key is not None else []


def _device_faults(config: Config, user: User) -> Iterator[Said]:
    """Of devices that are there; that one is not, its source says."""
    for device in dict.fromkeys(_devices(config)):
        if device.exists() and not user.may(device, READ | WRITE):
            group = _name_of_group(device.stat().st_gid)
            command = f"sudo usermod -aG {group} {user.name} && sudo systemctl restart edge-agent"
            yield fail(f"{user.name} may not use {device} (it is of group {group})", command)


def _devices(config: Config) -> Iterator[Path]:
    for source in config.sources.values():
        if source.kind == "camera" and is_device(source.uri):
            yield Path(device_path(source.uri))
        elif source.kind == "signal" and source.uri.startswith("serial:"):
            yield Path(parse(source.uri).place)
    for output in config.outputs.values():
        if output.kind == "gpio":
            yield Path(LineSpec(output.chip, output.line).path)


def _group_of(user: User) -> str:
    try:
        return _name_of_group(pwd.getpwuid(user.uid).pw_gid)
    except KeyError:
        return user.name


def _name_of_group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
