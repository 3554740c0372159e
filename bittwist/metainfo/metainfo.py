"""The metainfo file, the .torrent (BEP 3, 5, 12, 17, 19, 38, 52)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bittwist.errors import MetainfoError
from bittwist.metainfo import bencode, merkle
from bittwist.metainfo.bencode import Encodable, Value
from bittwist.metainfo.filelist import text
from bittwist.metainfo.info import Info, collection_names, optional_text, similar_hashes
from bittwist.metainfo.urls import MAX_URLS, tracker_urls, web_seed_urls

MAX_TORRENT = 10 << 20  # bytes of a .torrent; as much as an info dictionary from peers may have
MAX_NODES = 100  # DHT nodes kept; eight fill a bucket


@dataclass(frozen=True, slots=True)
class Metainfo:
    """An info dictionary and what a .torrent says around it.

    `trackers` are tiers of URLs; `piece_layers` maps a v2 file's pieces root to its piece layer, and is empty
    where it did not come along (a magnet link). Dates are seconds since 1970, as found: any integer.
    """

    info: Info
    trackers: tuple[tuple[str, ...], ...] = ()
    web_seeds: tuple[str, ...] = ()
    http_seeds: tuple[str, ...] = ()
    nodes: tuple[tuple[str, int], ...] = ()
    comment: str | None = None
    created_by: str | None = None
    creation_date: int | None = None
    encoding: str | None = None
    similar: tuple[bytes, ...] = ()
    collections: tuple[str, ...] = ()
    piece_layers: Mapping[bytes, bytes] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, data: bytes | memoryview) -> Metainfo:
        """Read and validate a .torrent, leniently; MetainfoError if it is not valid."""
        data = bytes(data)
        if len(data) > MAX_TORRENT:
            raise MetainfoError(f"a torrent of {len(data)} bytes is larger than {MAX_TORRENT}")
        top, spans = bencode.decode_spans(data, strict=False)
        if b"info" not in top:
            raise MetainfoError("there is no info dictionary")
        start, end = spans[b"info"]
        info = Info.of(data[start:end], top[b"info"])
        date = top.get(b"creation date")
        return cls(
            info=info,
            trackers=_tiers(top),
            web_seeds=web_seed_urls(_texts(top.get(b"url-list"))),
            http_seeds=web_seed_urls(_texts(top.get(b"httpseeds"))),
            nodes=_nodes(top.get(b"nodes")),
            comment=_best_text(top, b"comment"),
            created_by=_best_text(top, b"created by"),
            creation_date=date if isinstance(date, int) else None,
            encoding=optional_text(top.get(b"encoding")),
            similar=similar_hashes(top.get(b"similar")),
            collections=collection_names(top.get(b"collections")),
            piece_layers=_piece_layers(info, top.get(b"piece layers")) if info.is_v2 else {},
        )

    @classmethod
    def from_info(
        cls, info: Info, trackers: Sequence[Sequence[str]] = (), web_seeds: Sequence[str] = ()
    ) -> Metainfo:
        """What is known once peers have sent the info dictionary of a magnet link."""
        return cls(info, trackers=tuple(tuple(tier) for tier in trackers if tier), web_seeds=tuple(web_seeds))

    def encode(self) -> bytes:
        """The .torrent: canonical around the info dictionary, whose raw bytes stay as they are."""
        around = {key: bencode.encode(value) for key, value in self._around().items()}
        around[b"info"] = self.info.raw
        return b"d%be" % b"".join(bencode.encode(key) + around[key] for key in sorted(around))

    def _around(self) -> dict[bytes, Encodable]:
        optional: dict[bytes, Encodable | None] = {
            b"announce": self.trackers[0][0] if self.trackers else None,
            b"announce-list": [list(tier) for tier in self.trackers] if _needs_list(self.trackers) else None,
            b"collections": self.collections or None,
            b"comment": self.comment,
            b"created by": self.created_by,
            b"creation date": self.creation_date,
            b"encoding": self.encoding,
            b"httpseeds": self.http_seeds or None,
            b"nodes": [[host, port] for host, port in self.nodes] or None,
            b"piece layers": dict(self.piece_layers) or None,
            b"similar": self.similar or None,
            b"url-list": self.web_seeds or None,
        }
        return {key: value for key, value in optional.items() if value is not None}


def _needs_list(tiers: tuple[tuple[str, ...], ...]) -> bool:
    return sum(len(tier) for tier in tiers) > 1


def _tiers(top: Mapping[bytes, Value]) -> tuple[tuple[str, ...], ...]:
    """The announce-list or, where it names no tracker, announce (BEP 12)."""
    listed = top.get(b"announce-list")
    tiers = []
    room = MAX_URLS
    seen: set[str] = set()
    for item in listed if isinstance(listed, list) else ():
        fresh = [url for url in tracker_urls(_texts(item)) if url not in seen]
        tier = tuple(dict.fromkeys(fresh))[:room]
        if tier:
            tiers.append(tier)
            seen.update(tier)
            room -= len(tier)
    if tiers:
        return tuple(tiers)
    announce = tracker_urls(_texts(top.get(b"announce")))
    return (announce[:1],) if announce else ()


def _texts(value: Value | None) -> Iterable[str]:
    items = value if isinstance(value, list) else [value]
    return (text(item) for item in items if isinstance(item, bytes))


def _best_text(top: Mapping[bytes, Value], key: bytes) -> str | None:
    marked = optional_text(top.get(key + b".utf-8"))
    return optional_text(top.get(key)) if marked is None else marked


def _nodes(value: Value | None) -> tuple[tuple[str, int], ...]:
    nodes = []
    for item in value if isinstance(value, list) else ():
        match item:
            case [bytes(host), int(port)] if host and 0 < port < 65536:
                nodes.append((text(host), port))
    return tuple(nodes[:MAX_NODES])


def _piece_layers(info: Info, value: Value | None) -> dict[bytes, bytes]:
    """The layers of the files that need one, each checked against its root (BEP 52).

    No `piece layers` at all is let pass: a torrent saved from a magnet link has none yet.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MetainfoError("piece layers is not a dictionary")
    layers: dict[bytes, bytes] = {}
    for entry in info.files:
        root = entry.pieces_root
        if root is None or entry.size <= info.piece_length:
            continue
        layer = value.get(root)
        if not isinstance(layer, bytes):
            raise MetainfoError("the piece layer of a file is missing")
        if root not in layers:
            merkle.check_layer(layer, size=entry.size, piece_length=info.piece_length, pieces_root=root)
            layers[root] = layer
        elif len(layer) != merkle.HASH * -(-entry.size // info.piece_length):
            raise MetainfoError("two files of different sizes have the same pieces root")
    return layers
