"""A bundle's .tar: unpacked however it was made, and without tricks."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.bundles import unpack
from edge_agent.bundles.bundle import FILES, open_bundle
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
    with pytest.raises(Refused, match="is larger than 0 MB"):
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


# --- attacks -------------------------------------------------------------------------------------


def packed(
    path: Path, *entries: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.PAX_FORMAT
) -> Path:
    with tarfile.open(path, "w", format=kind) as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def refused(archive: Path, within: Path) -> str:
    """The one sentence; nothing of the archive is left, inside or outside."""
    within.mkdir(exist_ok=True)
    before = set(within.parent.rglob("*"))
    with pytest.raises(Refused) as told:
        unpacked(archive, within)
    assert set(within.parent.rglob("*")) == before
    return told.value.message


def test_a_size_that_is_only_said_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    """A bomb by its header: 400 GB of model in a file of 10 kB."""
    info = member("model.tflite")
    info.size = 400 * 1000**3
    (tmp_path / "b.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    assert "model.tflite of more than 512 MB" in refused(tmp_path / "b.tar", tmp_path / "in")


def test_a_file_of_holes_is_refused(tmp_path: Path) -> None:
    """A bomb by holes: 64 GB of zeros that take no byte in the archive (GNU.sparse.1.0)."""
    info = member("GNUSparseFile.0/model.tflite")
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": "model.tflite", "GNU.sparse.realsize": str(64 * 1000**3),
    }  # fmt: skip
    archive = packed(tmp_path / "b.tar", (info, b"0\n".ljust(512, b"\0")))
    assert refused(archive, tmp_path / "in")
    info.pax_headers["GNU.sparse.realsize"] = "1000"
    archive = packed(tmp_path / "b.tar", (info, b"0\n".ljust(512, b"\0")))
    assert "no plain file" in refused(archive, tmp_path / "in")


def test_headers_of_headers_end_in_a_sentence(tmp_path: Path) -> None:
    header = member("x", tarfile.XGLTYPE)
    header.size = 0
    (tmp_path / "b.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT) * 5000)
    assert "its headers never end" in refused(tmp_path / "b.tar", tmp_path / "in")


def test_what_is_shorter_than_it_says_is_refused(tmp_path: Path) -> None:
    info = member("model.tflite")
    info.size = 5000
    (tmp_path / "b.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(512))
    assert "no .tar, or damaged" in refused(tmp_path / "b.tar", tmp_path / "in")


def test_two_folders_are_no_bundle(tmp_path: Path) -> None:
    entries = [(member("a/model.tflite"), b"x"), (member("b/manifest.yaml"), b"y")]
    assert "one folder" in refused(packed(tmp_path / "b.tar", *entries), tmp_path / "in")


@pytest.mark.parametrize("name", ["labels.txt", "manifest.yaml", "CARD.md"])
def test_text_that_nobody_reads_to_its_end_is_refused(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "b.tar", (member(name), bytes(1_000_001)))
    assert f"{name} of more than 1 MB" in refused(archive, tmp_path / "in")


PARTS = st.sampled_from(
    ["..", ".", "", "a", "model.tflite", "manifest.yaml", "labels.txt", "Model.tflite", "~", "é",
     "model.tflite\\x", "con", " ", "a b", "CARD.md\n", "golden.npz."]
)  # fmt: skip
NAMES = st.builds(
    lambda parts, root: root + "/".join(parts),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "/", "//", "./", "../"]),
)
TYPES = st.sampled_from(
    [tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
     tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"Z"]
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, TYPES, st.binary(max_size=20)), min_size=1, max_size=20))
def test_whatever_an_archive_holds_only_plain_files_of_a_bundle_come_out(
    tmp_path: Path, wanted: list[tuple[str, bytes, bytes]]
) -> None:
    work = Path(tempfile.mkdtemp(dir=tmp_path))
    within = work / "in"
    within.mkdir()
    with tarfile.open(work / "b.tar", "w") as tar:
        for name, kind, content in wanted:
            info = member(name, kind, "../../escaped")
            info.size = len(content) if kind in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
            tar.addfile(info, io.BytesIO(content))
    with suppress(Refused):
        folder = unpacked(work / "b.tar", within)
        found = list(folder.iterdir())
        assert all(each.is_file() and not each.is_symlink() for each in found)
        assert {each.name for each in found} <= set(FILES)
        assert len(found) <= len(FILES)
        shutil.rmtree(folder)
    assert sorted(each.name for each in work.rglob("*")) == ["b.tar", "in"]
