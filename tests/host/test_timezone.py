"""The host's time zone: by name where it can be had, so that daylight saving is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_agent.host.timezone import host_zone


@pytest.fixture(autouse=True)
def _no_tz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)


def test_the_link_names_the_zone(tmp_path: Path) -> None:
    place = tmp_path / "zoneinfo/Europe"
    place.mkdir(parents=True)
    (place / "Berlin").write_bytes(b"")
    (tmp_path / "localtime").symlink_to(place / "Berlin")
    assert host_zone(tmp_path / "localtime") == ZoneInfo("Europe/Berlin")


def test_tz_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert host_zone(tmp_path / "localtime") == ZoneInfo("Asia/Tokyo")


def test_a_copied_file_is_read(tmp_path: Path) -> None:
    import importlib.resources

    data = importlib.resources.files("tzdata.zoneinfo") / "Europe" / "Berlin"
    (tmp_path / "localtime").write_bytes(data.read_bytes())
    zone = host_zone(tmp_path / "localtime")
    offset = datetime(2026, 7, 1, tzinfo=zone).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 7200


def test_without_anything_it_is_utc(tmp_path: Path) -> None:
    assert host_zone(tmp_path / "localtime") is UTC
