"""Magnet links (BEP 9; BEP 53 for `so`): parsed and printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus

from bittwist.address import split_host_port
from bittwist.errors import MagnetError, MetainfoError
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.urls import tracker_urls, web_seed_urls

MAX_MAGNET = 64 << 10  # characters; what fits 500 trackers is long enough
MAX_PEERS = 100  # `x.pe` addresses kept: trackers and the DHT bring more
MAX_FILE_INDEX = 1_000_000  # more files than a 10 MiB torrent can list
MAX_LENGTH = 1 << 62  # bytes, as of a torrent

_PARAMETER = re.compile(r"([a-z]+(?:\.pe)?)(?:\.[0-9]+)?", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)
_HOST = re.compile(r"[0-9a-z._-]+|\[?[0-9a-f:.]+\]?", re.IGNORECASE)
_RANGE = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7}))?")


@dataclass(frozen=True, slots=True)
class Magnet:
    """What a magnet link says.

    `peers` are HOST:PORT texts (a host may be a name); `select_only` are the file indices wanted, as
    ascending ranges that neither overlap nor touch, empty for all files.
    """

    info_hash: InfoHash
    name: str | None = None
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    length: int | None = None
    select_only: tuple[range, ...] = ()

    @classmethod
    def parse(cls, uri: str) -> Magnet:
        """Read a link; MagnetError if it is none or names no info hash.

        Unknown parts are skipped, and so are optional ones that are not valid.
        """
        if uri[:8].lower() != "magnet:?":
            raise MagnetError("a magnet link begins with magnet:?")
        if len(uri) > MAX_MAGNET:
            raise MagnetError(f"a magnet link of {len(uri)} characters is too long")
        values: dict[str, list[str]] = {}
        for part in uri[8:].split("&"):
            name, _, value = part.partition("=")
            known = _PARAMETER.fullmatch(name)
            if known:
                key = known[1].lower()
                values.setdefault(key, []).append(_unescape(value, plus=key == "dn"))
        names = [name for name in values.get("dn", ()) if name]
        lengths = [
            text for text in values.get("xl", ()) if text.isascii() and text.isdigit() and len(text) < 20
        ]
        return cls(
            info_hash=_info_hash(values.get("xt", ())),
            name=names[0] if names else None,
            trackers=tuple(dict.fromkeys(tracker_urls(values.get("tr", ())))),
            web_seeds=tuple(dict.fromkeys(web_seed_urls(values.get("ws", ())))),
            peers=tuple(dict.fromkeys(peer for peer in values.get("x.pe", ()) if _is_peer(peer)))[:MAX_PEERS],
            length=int(lengths[0]) if lengths and int(lengths[0]) <= MAX_LENGTH else None,
            select_only=_ranges(values.get("so", ())),
        )

    @classmethod
    def of(cls, metainfo: Metainfo) -> Magnet:
        """The link to a torrent."""
        info = metainfo.info
        trackers = tuple(dict.fromkeys(url for tier in metainfo.trackers for url in tier))
        return cls(info.info_hash, info.name, trackers, metainfo.web_seeds, length=info.total_size)

    def __str__(self) -> str:
        parts = []
        if self.info_hash.v1 is not None:
            parts.append(f"xt=urn:btih:{self.info_hash.v1.hex()}")
        if self.info_hash.v2 is not None:
            parts.append(f"xt=urn:btmh:1220{self.info_hash.v2.hex()}")
        if self.name is not None:
            parts.append(f"dn={_escape(self.name)}")
        if self.length is not None:
            parts.append(f"xl={self.length}")
        parts += [f"tr={_escape(url)}" for url in self.trackers]
        parts += [f"ws={_escape(url)}" for url in self.web_seeds]
        parts += [f"x.pe={quote(peer, safe=':[]')}" for peer in self.peers]
        if self.select_only:
            parts.append("so=" + ",".join(_range_text(span) for span in self.select_only))
        return "magnet:?" + "&".join(parts)


def _escape(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _unescape(value: str, plus: bool) -> str:
    if _BAD_ESCAPE.search(value):
        raise MagnetError("a magnet link has a % without two hex digits after it")
    return unquote_plus(value) if plus else unquote(value)


def _info_hash(topics: Sequence[str]) -> InfoHash:
    """The parts that `urn:btih:` (BEP 9) and `urn:btmh:1220` (SHA-256 as a multihash) topics name."""
    v1 = v2 = None
    for topic in topics:
        lowered = topic.lower()
        try:
            if lowered.startswith("urn:btih:"):
                found = InfoHash.parse(topic[9:]).v1 or _refuse(topic)
                v1 = v1 or found
            elif lowered.startswith("urn:btmh:"):
                if not lowered.startswith("urn:btmh:1220"):
                    _refuse(topic)
                found = InfoHash.parse(topic[13:]).v2 or _refuse(topic)
                v2 = v2 or found
        except MetainfoError as error:
            raise MagnetError(error.reason) from None
    if v1 is None and v2 is None:
        raise MagnetError("a magnet link names no info hash")
    return InfoHash(v1, v2)


def _refuse(topic: str) -> bytes:
    raise MagnetError(f"{topic[:80]!r} is not an info hash")


def _is_peer(peer: str) -> bool:
    try:
        host, port = split_host_port(peer)
    except ValueError:
        return False
    return port > 0 and len(host) <= 253 and _HOST.fullmatch(host) is not None


def _ranges(texts: Sequence[str]) -> tuple[range, ...]:
    spans = []
    for item in ",".join(texts).split(","):
        match = _RANGE.fullmatch(item)
        if match:
            first = int(match[1])
            last = int(match[2] or match[1])
            if first <= last <= MAX_FILE_INDEX:
                spans.append((first, last + 1))
    merged: list[range] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(stop, merged[-1].stop))
        else:
            merged.append(range(start, stop))
    return tuple(merged)


def _range_text(span: range) -> str:
    return str(span.start) if len(span) == 1 else f"{span.start}-{span.stop - 1}"
