"""Where a torrent comes from: a file, a URL or a magnet link."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from bittwist.app.run import interruptible
from bittwist.app.torrentfile import naming, read_torrent
from bittwist.errors import FetchError
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import MAX_TORRENT, Metainfo
from bittwist.net.http import HttpClient, Purpose
from bittwist.net.policy import Network, NetworkSettings


def find(reactor: Any, source: str, bind: str | None = None) -> Deferred[Metainfo | Magnet]:
    """What a FILE, URL or MAGNET names; fails with MetainfoError, StorageError or FetchError."""
    return interruptible(_find(reactor, source, bind))


async def _find(reactor: Any, source: str, bind: str | None) -> Metainfo | Magnet:
    if source.lower().startswith("magnet:"):
        return Magnet.parse(source)
    if not source.lower().startswith(("http://", "https://")):
        return read_torrent(source)
    client = HttpClient(reactor, Network(reactor, NetworkSettings(bind=bind)))
    response = await client.get(source, purpose=Purpose.TORRENT, limit=MAX_TORRENT)
    if response.status != 200:
        raise FetchError(source, f"the server answered {response.status}", response.status)
    with naming(source):
        return Metainfo.parse(response.body)
