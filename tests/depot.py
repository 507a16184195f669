"""A repository with its keys, and a client of it that knows nothing but python-tuf."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from edge_fleet.change import changing
from edge_fleet.founding import found
from edge_fleet.keys import Keyring, make_ring
from edge_fleet.passphrase import Passphrases
from edge_fleet.repository import Repository, open_repository
from edge_fleet.roles import QUORUMS

PASSPHRASE = "correct horse battery staple"


@dataclass
class Depot:
    """`keys` holds every key, `repo` is what a web server hands out."""

    home: Path

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def repo(self) -> Path:
        return self.home / "repo"

    @property
    def passphrase_file(self) -> Path:
        return self.home / "passphrase"

    @property
    def passphrases(self) -> Passphrases:
        return Passphrases({"": self.passphrase_file})

    def keyring(self, *folders: Path) -> Keyring:
        return Keyring(folders or (self.keys,), self.passphrases)

    def opened(self) -> Repository:
        return open_repository(self.repo)

    def put(self, path: str, content: bytes, now: float) -> None:
        with changing(self.repo, self.keyring(), now) as change:
            change.add(path.partition("/")[0], path, content, {"n": len(content)})

    def copy(self, to: Path) -> Depot:
        shutil.copytree(self.home, to)
        return Depot(to)


def make_depot(home: Path, now: float) -> Depot:
    depot = Depot(home)
    home.mkdir(parents=True)
    depot.passphrase_file.write_text(f"{PASSPHRASE}\n")
    ring = make_ring(depot.keys, QUORUMS, depot.passphrases, now)
    found(depot.repo, ring, depot.keyring(), now)
    return depot


class Files(FetcherInterface):
    """Metadata and targets from a folder, by the names that a device asks for."""

    def _fetch(self, url: str):
        from tuf.api.exceptions import DownloadHTTPError

        path = Path(url)
        if not path.is_file():
            raise DownloadHTTPError(f"no {path.name}", 404)
        return iter([path.read_bytes()])


class Client:
    """A device's view of a repository, with a memory of its own."""

    def __init__(self, repo: Path, home: Path, root: int = 1) -> None:
        self._repo, self._home = repo, home
        (home / "metadata").mkdir(parents=True)
        (home / "targets").mkdir()
        self._root = (repo / "metadata" / f"{root}.root.json").read_bytes()

    def refreshed(self) -> Updater:
        """Raises as python-tuf does where the repository is not to be trusted."""
        updater = Updater(
            str(self._home / "metadata"),
            f"{self._repo}/metadata/",
            str(self._home / "targets"),
            f"{self._repo}/targets/",
            fetcher=Files(),
            bootstrap=self._root,
        )
        updater.refresh()
        return updater

    def fetch(self, path: str) -> bytes | None:
        updater = self.refreshed()
        info = updater.get_targetinfo(path)
        return None if info is None else Path(updater.download_target(info)).read_bytes()
