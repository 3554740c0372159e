"""Where a torrent comes from: a file, a URL or a magnet link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from bittwist.app.arguments import scheme_fault
from bittwist.app.run import interruptible
from bittwist.app.torrentfile import naming, read_torrent
from bittwist.app.wording import broken_without_secrets, without_secrets
from bittwist.errors import FetchError, MagnetError, MetainfoError, SessionError
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import MAX_TORRENT, Metainfo
from bittwist.net.http import HttpClient, Purpose
from bittwist.net.policy import Network, NetworkSettings
from bittwist.net.urls import Url
from bittwist.session.torrent import ONLY_V2
from bittwist.session.torrents import ONLY_V2_LINK


def find(reactor: Any, source: str, bind: str | None = None) -> Deferred[Metainfo | Magnet]:
    """What a FILE, URL or MAGNET names; fails with MetainfoError, StorageError or FetchError."""
    return interruptible(_find(reactor, source, bind))


async def _find(reactor: Any, source: str, bind: str | None) -> Metainfo | Magnet:
    if source.lower().startswith("magnet:"):
        return Magnet.parse(source)
    if not _is_url(source):
        return read_torrent(source)
    client = HttpClient(reactor, Network(reactor, NetworkSettings(bind=bind)))
    response = await client.get(source, purpose=Purpose.TORRENT, limit=MAX_TORRENT)
    if response.status != 200:
        raise FetchError(source, f"the server answered {response.status}", response.status)
    with naming(name_of(source)):
        return Metainfo.parse(response.body)


def check_source(source: str) -> None:
    """BitTwistError, without secrets, where it can be told without the net that it cannot be added."""
    fault = scheme_fault(source)
    if fault is not None:
        raise SessionError(fault)
    if source.lower().startswith("magnet:"):
        with naming(name_of(source)):
            if Magnet.parse(source).info_hash.v1 is None:
                raise MetainfoError(ONLY_V2_LINK)
    elif _is_url(source):
        try:
            Url.parse(source)
        except ValueError as error:
            raise SessionError(f"{name_of(source)}: {error}") from error
    else:
        metainfo = read_torrent(source)
        with naming(source):
            if not metainfo.info.is_v1:
                raise MetainfoError(ONLY_V2)
            safe_paths(metainfo.info)


def name_of(source: str) -> str:
    """What to call a FILE, URL or MAGNET where others read it: links and URLs hold passkeys and passwords."""
    if source.lower().startswith("magnet:"):
        try:
            return str(Magnet.parse(source).info_hash)
        except MagnetError:
            return "a magnet link"
    if not _is_url(source):
        return source
    try:
        Url.parse(source)
    except ValueError:
        return broken_without_secrets(source)
    return without_secrets(source)


def is_file(source: str, folder: Path) -> bool:
    """Whether it names a file, from `folder` on, and is neither meant to be a URL nor a magnet link."""
    is_link = source.lower().startswith("magnet:")
    return not is_link and not _is_url(source) and scheme_fault(source, folder) is None


def _is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))
