"""What `show` and `create` print of a torrent: an object for programs, lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from bittwist.app.wording import date, printable, size
from bittwist.metainfo.files import safe_paths
from bittwist.metainfo.infohash import InfoHash
from bittwist.metainfo.magnet import Magnet
from bittwist.metainfo.metainfo import Metainfo


def as_object(source: Metainfo | Magnet) -> dict[str, object]:
    """The object that --json prints; what a magnet link does not say is None, and it has three keys more."""
    if isinstance(source, Magnet):
        return {
            "name": source.name,
            **_hashes(source.info_hash),
            "piece_length": None,
            "num_pieces": None,
            "total_size": source.length,
            "files": None,
            "trackers": [[url] for url in source.trackers],
            "web_seeds": list(source.web_seeds),
            "private": None,
            "comment": None,
            "created_by": None,
            "creation_date": None,
            "magnet": str(source),
            "peers": list(source.peers),
            "select_only": [[span.start, span.stop - 1] for span in source.select_only],
            "ignored": [asdict(each) for each in source.ignored],
        }
    info = source.info
    return {
        "name": info.name,
        **_hashes(info.info_hash),
        "piece_length": info.piece_length,
        "num_pieces": info.num_pieces,
        "total_size": info.total_size,
        "files": [
            {"path": str(path), "size": entry.size, "attr": entry.attr}
            for path, entry in zip(safe_paths(info), info.files)
        ],
        "trackers": [list(tier) for tier in source.trackers],
        "web_seeds": list(source.web_seeds),
        "private": info.private,
        "comment": source.comment,
        "created_by": source.created_by,
        "creation_date": source.creation_date,
        "magnet": str(Magnet.of(source)),
    }


def as_lines(source: Metainfo | Magnet) -> Iterator[str]:
    """The same to read; nothing at all of what cannot be shown whole (UnsafePath)."""
    paths = safe_paths(source.info) if isinstance(source, Metainfo) else ()
    yield from (
        f"{label + ':':<14}{printable(value)}" for label, value in _facts(source) if value is not None
    )
    if isinstance(source, Metainfo):
        yield "Files:"
        for path, entry in zip(paths, source.info.files):
            mark = f"  [{entry.attr}]" if entry.attr else ""
            yield f"  {size(entry.size):>10}  {printable(str(path))}{mark}"
        yield f"Magnet:       {Magnet.of(source)}"


def _facts(source: Metainfo | Magnet) -> Iterator[tuple[str, str | None]]:
    trackers: tuple[tuple[str, ...], ...]
    if isinstance(source, Magnet):
        yield "Name", source.name
        yield from _hash_facts(source.info_hash)
        yield "Size", size(source.length) if source.length is not None else None
        trackers = tuple((url,) for url in source.trackers)
    else:
        info = source.info
        yield "Name", info.name
        yield from _hash_facts(info.info_hash)
        yield "Size", f"{size(info.total_size)} ({info.total_size} bytes)"
        yield "Pieces", f"{info.num_pieces} of {size(info.piece_length)}"
        yield "Private", "yes" if info.private else None
        yield "Source", info.source
        trackers = source.trackers
    for number, tier in enumerate(trackers, 1):
        yield f"Tracker {number}", " ".join(tier)
    for url in source.web_seeds:
        yield "Web seed", url
    if isinstance(source, Magnet):
        for peer in source.peers:
            yield "Peer", peer
        yield "Only files", f"{source.choice} (counted from 0)" if source.select_only else None
        for ignored in source.ignored:
            yield "Ignored", str(ignored)
    else:
        yield "Comment", source.comment
        yield "Created by", source.created_by
        yield "Created", date(source.creation_date) if source.creation_date is not None else None


def _hash_facts(info_hash: InfoHash) -> Iterator[tuple[str, str | None]]:
    for part, digest in _hashes(info_hash).items():
        yield f"Hash {part[-2:]}", digest


def _hashes(info_hash: InfoHash) -> dict[str, str | None]:
    return {
        "info_hash_v1": info_hash.v1.hex() if info_hash.v1 is not None else None,
        "info_hash_v2": info_hash.v2.hex() if info_hash.v2 is not None else None,
    }
