"""A signed repository, over http and in a folder, and a device that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import Server, serving
from ota_box import Box
from signed_repository import SignedRepository

from edge_agent.updates.place import Place


@pytest.fixture
def signed(tmp_path: Path) -> SignedRepository:
    return SignedRepository(tmp_path / "repository")


@pytest.fixture
def server(signed: SignedRepository) -> Iterator[Server]:
    with serving(signed.folder) as server:
        yield server


@pytest.fixture(params=["http", "folder"])
def box(request: pytest.FixtureRequest, tmp_path: Path, signed: SignedRepository) -> Box:
    """By both ways."""
    if request.param == "http":
        place = Place.parse(request.getfixturevalue("server").url)
    else:
        place = Place.parse(str(signed.folder))
    return Box(tmp_path / "state", signed.bootstrap, place)


@pytest.fixture
def stick(tmp_path: Path, signed: SignedRepository) -> Box:
    """By a folder."""
    return Box(tmp_path / "state", signed.bootstrap, Place.parse(str(signed.folder)))


@pytest.fixture
def web(tmp_path: Path, signed: SignedRepository, server: Server) -> Box:
    """Over http."""
    return Box(tmp_path / "state", signed.bootstrap, Place.parse(server.url))
