"""install.sh in a real Debian root without a network, and the agent started there by hand.

EDGE_AGENT_DEBIAN_ROOT and EDGE_AGENT_BUNDLE name a root (debootstrap, with python3) and a bundle
(make bundle) that are at hand; without them both are made, which takes minutes and a network.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.acceptance(minutes=1)
ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "systemd" / "install.sh"
PYTHON = "3.11"  # Debian 12's
SUITE = "bookworm"
PATIENCE_S = 60.0
#: Its own mounts and no network: whatever it does ends with it.
ENTER = """\
mount --make-rprivate / && mount -t proc proc "$0/proc" && mkdir -p "$0/dev/shm" &&
mount -t tmpfs tmpfs "$0/dev/shm" && exec chroot "$0" "$@"
"""
Done = subprocess.CompletedProcess[str]


class Debian:
    """A root directory, and what is run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def command(self, *words: str) -> list[str]:
        inside = ("env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *words)
        return ["unshare", "--mount", "--net", "sh", "-c", ENTER, str(self.root), *inside]

    def run(self, *words: str) -> Done:
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=600)

    def install(self, *options: str) -> Done:
        return self.run("/mnt/install.sh", *options)

    @property
    def current(self) -> str:
        return os.readlink(self.path("/opt/edge-agent/current"))

    def versions(self) -> set[str]:
        return {each.name for each in self.path("/opt/edge-agent/versions").iterdir()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    given = os.environ.get("EDGE_AGENT_BUNDLE")
    if given is None:
        made = subprocess.run(
            [sys.executable, ROOT / "tools" / "bundle.py", platform.machine(), PYTHON],
            stdout=subprocess.PIPE,
            text=True,
        )
        if made.returncode:
            pytest.skip("no bundle can be made here: it takes a package index")
        given = made.stdout.strip()
    with tarfile.open(given) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """Debian 12 with Python, as a small device has it."""
    if os.geteuid():
        pytest.skip("a root of its own takes root")
    given = os.environ.get("EDGE_AGENT_DEBIAN_ROOT")
    root = Path(given) if given else tmp_path_factory.mktemp("debian") / "root"
    if given is None:
        if shutil.which("debootstrap") is None:
            pytest.skip("there is no debootstrap (apt install debootstrap)")
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=python3,systemd", SUITE, root],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            pytest.skip(f"debootstrap made no root: {made.stdout.splitlines()[-1]}")
    shutil.copy(INSTALL, root / "mnt" / "install.sh")
    yield Debian(root)
    Debian(root).install("--uninstall", "--purge")


@pytest.fixture
def pack(debian: Debian, bundle: Path) -> Callable[..., str]:
    """`pack(change)`: a bundle with a change, as the device sees its path."""

    def packed(change: Callable[[Path], object] | None = None) -> str:
        target = debian.path("/mnt/bundle.tar")
        work = debian.path(f"/mnt/{bundle.name}")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(bundle, work)
        if change is not None:
            change(work)
        with tarfile.open(target, "w") as archive:
            archive.add(work, bundle.name)
        shutil.rmtree(work)
        return "/mnt/bundle.tar"

    return packed


def newer(bundle: Path) -> None:
    """As of another day: the same wheels, and another identity."""
    with (bundle / "requirements.txt").open("a") as requirements:
        requirements.write("# newer\n")


def without_yaml(bundle: Path) -> None:
    requirements = bundle / "requirements.txt"
    lines = requirements.read_text().splitlines(keepends=True)
    requirements.write_text("".join(line for line in lines if not line.startswith("PyYAML")))


def damaged(bundle: Path) -> None:
    newer(bundle)
    (wheel,) = bundle.glob("wheels/pyyaml*.whl")
    data = bytearray(wheel.read_bytes())
    data[len(data) // 2] ^= 1
    wheel.write_bytes(data)


def test_the_whole_life_of_an_installation(
    debian: Debian, pack: Callable[..., str], eventually: Callable[..., Any]
) -> None:
    """One after the other, as the device lives it."""
    installed = debian.install("--from", pack())
    assert installed.returncode == 0, installed.stderr
    assert "is in charge; its configuration is /etc/edge-agent/config.yaml" in installed.stdout
    first = debian.current
    assert debian.run("edge-agent", "--version").stdout.startswith("edge-agent ")
    works_by_hand(debian, eventually)

    built = debian.path(f"/opt/edge-agent/{first}/complete").stat().st_mtime
    assert debian.install("--from", pack()).returncode == 0
    assert debian.current == first  # again changes nothing
    assert debian.path(f"/opt/edge-agent/{first}/complete").stat().st_mtime == built

    config = debian.path("/etc/edge-agent/config.yaml")
    mine = config.read_text() + "# mine\n"
    config.write_text(mine)
    for change, reason in (
        (damaged, "the bundle cannot be installed"),
        (without_yaml, "does not run on this board; nothing was changed"),
    ):
        refused = debian.install("--from", pack(change))
        assert refused.returncode == 1
        assert reason in refused.stderr
        assert (debian.current, debian.versions()) == (first, {Path(first).name})

    config.write_text(mine + "max_fsp: 5\n")
    refused = debian.install("--from", pack(newer))
    assert refused.returncode == 1
    assert "max_fsp" in refused.stderr
    assert "the old one stays in charge" in refused.stderr
    assert debian.current == first

    config.write_text(mine)
    assert debian.install("--from", pack(newer)).returncode == 0
    assert debian.current != first
    assert Path(first).name in debian.versions()  # the one before is kept
    assert config.read_text() == mine
    state = debian.path("/var/lib/edge-agent/edge.db")
    assert state.stat().st_size > 0
    works_by_hand(debian, eventually)

    assert debian.install("--uninstall").returncode == 0
    assert not debian.path("/opt/edge-agent").exists()
    assert not debian.path("/etc/systemd/system/edge-agent.service").exists()
    assert (config.read_text(), state.exists()) == (mine, True)
    assert debian.install("--uninstall", "--purge").returncode == 0
    assert not config.exists()
    assert not state.exists()
    assert debian.run("id", "edge-agent").returncode == 1


def works_by_hand(debian: Debian, eventually: Callable[..., Any]) -> None:
    """As the unit starts it: the same program, user and places."""
    agent = subprocess.Popen(
        debian.command(
            *("setpriv", "--reuid=edge-agent", "--regid=edge-agent", "--clear-groups"),
            *("--no-new-privs", "env", "STATE_DIRECTORY=/var/lib/edge-agent"),
            *("/opt/edge-agent/current/bin/edge-agent", "run"),
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(
            lambda: (
                debian.run(
                    "edge-agent", "status", "--check", "--state", "/var/lib/edge-agent"
                ).returncode
                == 0
            ),
            "an agent that is well",
            PATIENCE_S,
        )
    finally:
        agent.terminate()
        _, log = agent.communicate(timeout=PATIENCE_S)
    assert agent.returncode == 0, log
    assert "started version" in log


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--from", "/mnt/none.tar"), "there is no file /mnt/none.tar"),
        (("--from", "/mnt/install.sh"), "is no bundle, or damaged"),
        (("--python", "python9"), "there is no python9"),
        (("--form", "x"), "there is no option --form"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    debian: Debian, options: tuple[str, ...], reason: str
) -> None:
    refused = debian.install(*options)
    assert refused.returncode in (1, 2)
    assert reason in refused.stderr


def test_a_bundle_for_another_machine_is_refused(debian: Debian, pack: Callable[..., str]) -> None:
    refused = debian.install(
        "--from", pack(lambda bundle: (bundle / "target").write_text("riscv64 3.11\n"))
    )
    assert refused.returncode == 1
    assert "the bundle is for riscv64 3.11, this Python is" in refused.stderr
    assert f"make bundle ARCH={platform.machine()} PY=3.11" in refused.stderr
