"""A bundle's .tar: unpacked however it was made, and without tricks."""

from __future__ import annotations

import random
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.bundles import unpack
from edge_agent.bundles.bundle import open_bundle
from edge_agent.bundles.unpack import unpacked
from edge_agent.errors import Refused, UsageError


def make_tar(path: Path, members: list[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize("inside", ["", ".", "people", "./people"])
def test_a_tar_is_the_same_as_the_folder_however_it_was_made(
    bundle: Path, tmp_path: Path, inside: str
) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        if inside:
            tar.add(bundle, inside)
        else:
            for file in bundle.iterdir():
                tar.add(file, file.name)
    assert open_bundle(unpacked(tmp_path / "b.tar")).manifest == open_bundle(bundle).manifest


@pytest.mark.parametrize(
    "bad",
    [
        member("../manifest.yaml"),
        member("/etc/manifest.yaml"),
        member("a/b/manifest.yaml"),
        member("manifest.yaml", tarfile.SYMTYPE, "/etc/passwd"),
        member("manifest.yaml", tarfile.LNKTYPE, "model.tflite"),
        member("manifest.yaml", tarfile.CHRTYPE),
        member("manifest.yaml", tarfile.FIFOTYPE),
        member("a/b", tarfile.DIRTYPE),
        member("run.sh"),
    ],
)
def test_tricks_are_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    archive = make_tar(tmp_path / "b.tar", [bad])
    with pytest.raises(Refused, match=r"b\.tar holds"):
        unpacked(archive)


def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "b.tar", [member("labels.txt"), member("x/labels.txt")])
    with pytest.raises(Refused, match=r"holds labels\.txt twice"):
        unpacked(archive)


def test_too_many_folders_are_refused(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "b.tar", [member(f"d{i}", tarfile.DIRTYPE) for i in range(17)])
    with pytest.raises(Refused, match="more than 16 files"):
        unpacked(archive)


def test_what_would_not_fit_is_refused_before_it_is_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "LARGEST", 100_000)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.add(bundle, ".")
    with pytest.raises(Refused, match="unpacks to more than 0 MB"):
        unpacked(tmp_path / "b.tar")


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b\x08" + b"\0" * 600])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(Refused, match=r"no \.tar"):
        unpacked(tmp_path / "b.tar")


def test_a_tar_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be unpacked: No such file"):
        unpacked(tmp_path / "b.tar")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_tar_is_refused_or_gives_a_bundle_to_judge(
    bundle: Path, tmp_path: Path, seed: int
) -> None:
    """Cut anywhere, or with damage in the headers."""
    chance = random.Random(seed)
    (bundle / "golden.npz").unlink()
    with tarfile.open(tmp_path / "b.tar", "w", format=chance.choice([1, 2])) as tar:
        tar.add(bundle, "people" + "é" * chance.randrange(60))
    data = bytearray((tmp_path / "b.tar").read_bytes())
    if seed % 3 == 0:
        del data[chance.randrange(len(data)) :]
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(min(4096, len(data)))] = chance.randrange(256)
    (tmp_path / "b.tar").write_bytes(data)
    with suppress(Refused):
        open_bundle(unpacked(tmp_path / "b.tar"))
