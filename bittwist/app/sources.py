"""Where a torrent comes from: a file, a URL or a magnet link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from bittwist.errors import FetchError, MetainfoError, StorageError
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo
from bittwist.net.http import HttpClient, Purpose
from bittwist.net.policy import Network, NetworkSettings

MAX_TORRENT = 10 << 20  # bytes of a torrent file (SECURITY.md A10)


def read_torrent(path: str) -> Metainfo:
    """Read a torrent file; StorageError where it cannot be read, MetainfoError where it is none."""
    file = Path(path)
    try:
        if file.stat().st_size > MAX_TORRENT:
            raise MetainfoError(f"{path}: larger than a torrent file can be ({MAX_TORRENT} bytes)")
        data = file.read_bytes()
    except OSError as error:
        raise StorageError(path, error.strerror or str(error)) from error
    try:
        return Metainfo.parse(data)
    except MetainfoError as error:
        raise MetainfoError(f"{path}: {error.reason}") from error


def find(reactor: Any, source: str, bind: str | None = None) -> Deferred[Metainfo | Magnet]:
    """What a FILE, URL or MAGNET names; fails with MetainfoError, StorageError or FetchError."""
    return Deferred.fromCoroutine(_find(reactor, source, bind))


async def _find(reactor: Any, source: str, bind: str | None) -> Metainfo | Magnet:
    if source.lower().startswith("magnet:"):
        return Magnet.parse(source)
    if not source.lower().startswith(("http://", "https://")):
        return read_torrent(source)
    client = HttpClient(reactor, Network(reactor, NetworkSettings(bind=bind)))
    response = await client.get(source, purpose=Purpose.TORRENT, limit=MAX_TORRENT)
    if response.status != 200:
        raise FetchError(source, f"the server answered {response.status}", response.status)
    try:
        return Metainfo.parse(response.body)
    except MetainfoError as error:
        raise MetainfoError(f"{source}: {error.reason}") from error
