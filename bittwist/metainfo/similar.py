"""What torrents share (BEP 38): which may be similar, and where in one the bytes of another's pieces are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bittwist.metainfo.files import FileEntry
from bittwist.metainfo.geometry import FileSpan
from bittwist.metainfo.info import Info
from bittwist.metainfo.metainfo import Metainfo
from bittwist.metainfo.names import fold

ZEROS = -1  # in place of a piece: padding, which nobody needs to have


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes of a piece of the other torrent from `begin`, or of ZEROS."""

    index: int
    begin: int
    length: int


def related(one: Metainfo, other: Metainfo) -> bool:
    """Whether either hints that it may share files with the other."""
    if {*one.collections, *one.info.collections} & {*other.collections, *other.info.collections}:
        return True
    return _names(one, other) or _names(other, one)


def _names(one: Metainfo, other: Metainfo) -> bool:
    hints = {*one.similar, *one.info.similar}
    return other.info.info_hash.v1 in hints or other.info.info_hash.v2 in hints


def borrowed(info: Info, other: Info, wanted: Iterable[int]) -> Iterator[tuple[int, tuple[Extent, ...]]]:
    """For each of some pieces where its bytes may be in the other torrent, the likeliest place first.

    A piece of the same hash is the same; a file of the same name and size may be. Both have a v1 form.
    """
    by_hash = {}
    if info.piece_length == other.piece_length:
        by_hash = {other.piece_hash(index): index for index in range(other.geometry.num_pieces)}
    twins = _twins(info, other)
    for index in wanted:
        size = info.geometry.piece_size(index)
        same = by_hash.get(info.piece_hash(index))
        if same is not None and other.geometry.piece_size(same) == size:
            yield index, (Extent(same, 0, size),)
        if twins:
            extents: list[Extent] = []
            for span in info.geometry.spans(index, 0, size):
                found = _in_twin(info, other, twins, span)
                if not found:
                    break
                extents += found
            else:
                yield index, tuple(extents)


def _twins(info: Info, other: Info) -> dict[int, int]:
    """By file, the file of the other torrent that may be the same."""
    known: dict[tuple[str, int], int] = {}
    for file, entry in enumerate(other.files):
        if entry.is_written:
            known.setdefault((_name(other, entry), entry.size), file)
    twins = {}
    for file, entry in enumerate(info.files):
        twin = known.get((_name(info, entry), entry.size)) if entry.is_written and entry.size else None
        if twin is not None:
            twins[file] = twin
    return twins


def _name(info: Info, entry: FileEntry) -> str:
    return fold(entry.path[-1] if entry.path else info.name)


def _in_twin(info: Info, other: Info, twins: dict[int, int], span: FileSpan) -> list[Extent]:
    """Where the bytes of a file are in the pieces of the other torrent; empty where they are not."""
    if info.files[span.file].is_pad:
        return [Extent(ZEROS, 0, span.length)]
    twin = twins.get(span.file)
    if twin is None:
        return []
    extents = []
    at, length = other.geometry.file_start(twin) + span.offset, other.geometry.piece_length
    end = at + span.length
    while at < end:
        index, begin = divmod(at, length)
        taken = min(length - begin, end - at)
        extents.append(Extent(index, begin, taken))
        at += taken
    return extents
