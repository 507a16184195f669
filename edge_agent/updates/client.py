"""python-tuf's Updater over our way of fetching and our idea of time.

One thing of it is not public, the time that expiry is judged by: `Updater` takes the wall clock,
and a board's may say 1970. It is set in one line here; a test holds python-tuf to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater

from edge_agent.updates.failures import NotServed
from edge_agent.updates.line import Line
from edge_agent.updates.place import Place
from edge_agent.updates.trust import SIZES, Trust


class Fetcher(FetcherInterface):
    """Metadata over the line, looked at by trust before anybody stores it."""

    def __init__(self, line: Line, trust: Trust) -> None:
        self._line = line
        self._trust = trust

    def download_bytes(self, url: str, max_length: int) -> bytes:
        try:
            content = self._line.metadata(url, max_length)
        except NotServed as fault:
            raise DownloadHTTPError(fault.message, fault.status) from fault
        self._trust.inspect(urlsplit(url).path.rpartition("/")[2], content)
        return content

    def _fetch(self, url: str) -> Iterator[bytes]:
        """The interface's other half, for what is not metadata."""
        with self._line.target(url, 0) as opened:
            yield from opened.pieces


class Client(Updater):
    """One check: `refresh`, then `get_targetinfo` and `address` of what is wanted."""

    def __init__(self, place: Place, trust: Trust, line: Line, reference: datetime) -> None:
        super().__init__(
            str(trust.metadata),
            place.metadata,
            fetcher=Fetcher(line, trust),
            config=SIZES,
            bootstrap=trust.bootstrap,
        )
        self._trusted_set.reference_time = reference
        self._place = place
        self._trust = trust

    def address(self, info: TargetFile) -> str:
        """Where a target lies: under its hash where the repository is consistent."""
        folder, slash, name = info.path.rpartition("/")
        if self._trust.load("root").signed.consistent_snapshot:
            name = f"{next(iter(info.hashes.values()))}.{name}"
        return f"{self._place.targets}{folder}{slash}{name}"
