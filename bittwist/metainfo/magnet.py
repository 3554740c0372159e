"""Magnet links (BEP 9; BEP 53 for `so`): parsed and printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, unquote_plus

from bittwist.errors import MagnetError, MetainfoError
from bittwist.metainfo import magnet_parts
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet_parts import Ignored
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.urls import tracker_urls, web_seed_urls

MAX_MAGNET = 64 << 10  # characters; what fits 500 trackers is long enough

_PARAMETER = re.compile(r"([a-z]+(?:\.pe)?)(?:\.[0-9]+)?", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Magnet:
    """What a magnet link says.

    `peers` are HOST:PORT texts (a host may be a name); `select_only` are the file indices wanted, as
    ascending ranges that neither overlap nor touch, empty for all files. `ignored` is what the link says
    beside that, but not so that it can be used.
    """

    info_hash: InfoHash
    name: str | None = None
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    length: int | None = None
    select_only: tuple[range, ...] = ()
    ignored: tuple[Ignored, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, uri: str) -> Magnet:
        """Read a link; MagnetError if it is none or names no info hash.

        Unknown parts are skipped; optional ones that cannot be used are in `ignored`.
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
        faults = magnet_parts.Faults()

        def texts(parameter: str) -> Sequence[str]:
            return values.get(parameter, ())

        return cls(
            info_hash=_info_hash(texts("xt")),
            name=names[0] if names else None,
            trackers=magnet_parts.urls("tr", texts("tr"), tracker_urls, "the URL of a tracker", faults),
            web_seeds=magnet_parts.urls("ws", texts("ws"), web_seed_urls, "an http or https URL", faults),
            peers=magnet_parts.peers(texts("x.pe"), faults),
            length=magnet_parts.length(texts("xl"), faults),
            select_only=magnet_parts.ranges(texts("so"), faults),
            ignored=faults.all(),
        )

    @property
    def choice(self) -> str:
        """The files wanted as `so` has them: `0,2-4`; empty for all files."""
        return ",".join(_range_text(span) for span in self.select_only)

    @property
    def choice_fault(self) -> str | None:
        """Why it is not known which files are wanted, where the link wants only some (BEP 53).

        Whoever follows such a link means a part: to fetch everything is not what was asked for.
        """
        bad = [str(each) for each in self.ignored if each.parameter == "so"]
        return bad[0] if bad and not self.select_only else None

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
            parts.append(f"so={self.choice}")
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


def _range_text(span: range) -> str:
    return str(span.start) if len(span) == 1 else f"{span.start}-{span.stop - 1}"
