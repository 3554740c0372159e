"""What vouches for a piece that was here before: the rules, without I/O.

After a clean stop, size and mtime vouch for a file. After a crash, a record of the journal holds where the
file is still the same inode and has not shrunk. Everything else that may be there is hashed. The part file
counts as the files do, for pieces with bytes of files that are not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from bittwist.errors import FolderGone
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.storage.interfaces import FileStamp, Place
from bittwist.storage.parts import PartLayout
from bittwist.storage.resume import Journaled

Stamps = Sequence[FileStamp | None]

_ALL = math.inf


@dataclass(frozen=True, slots=True)
class Plan:
    """Pieces that are taken to be right, and those to be hashed (ascending)."""

    trusted: Bitfield
    doubtful: tuple[int, ...]


def plan(
    geometry: Geometry,
    journaled: Journaled | None,
    stamps: Stamps,
    *,
    parts: tuple[PartLayout, FileStamp | None] | None = None,
    check: bool = False,
) -> Plan:
    """Which pieces are right and which must be looked at; with `check`, all that may be there must.

    `parts`: how the part file is laid out and what it looks like, where there may be one.
    """
    starts = (0, *accumulate(geometry.file_sizes))
    there = Bitfield(geometry.num_pieces)
    changed = Bitfield(geometry.num_pieces)
    for file, stamp in enumerate(stamps):
        for index in _pieces(geometry, starts[file], 0, min(_size(stamp), geometry.file_sizes[file])):
            there.add(index)
        if journaled is not None:
            vouched = _vouched(journaled, file, stamp)
            for index in _pieces(geometry, starts[file], vouched, geometry.file_sizes[file]):
                changed.add(index)
    if parts is not None:
        for index, vouched in _in_parts(*parts, journaled, stamps):
            if not vouched:
                changed.add(index)
            if parts[1] is not None:
                there.add(index)
    if check or journaled is None:
        return Plan(Bitfield(geometry.num_pieces), tuple(there))
    trusted = journaled.have.copy()
    for index in changed:
        trusted.discard(index)
    if journaled.stopped is not None:  # nobody touched the other files: what was not right then is not now
        return Plan(trusted, tuple(index for index in there if index in changed))
    return Plan(trusted, tuple(index for index in there if index not in trusted))


def check_place(path: str, journaled: Journaled | None, place: Place | None, stamps: Stamps) -> None:
    """FolderGone if the folder is not where the files were: a drive is missing (SECURITY.md F3)."""
    if journaled is None:
        return
    if place is None:
        raise FolderGone(path, "the folder is gone", None)
    missing = any(was and not now for was, now in zip(journaled.begun, stamps))
    if place != journaled.place and missing:
        reason = "the folder is not the one it was, and files are missing"
        raise FolderGone(path, reason, (place.device, place.inode))


def strangers(geometry: Geometry, journaled: Journaled | None, have: Bitfield, stamps: Stamps) -> list[int]:
    """The files with something in them for which neither the journal nor any piece that is right vouches."""
    found = []
    for file, stamp in enumerate(stamps):
        if stamp is None or not stamp.size:
            continue
        if journaled is not None and _known(journaled, file, stamp):
            continue
        if not any(index in have for index in geometry.pieces_of_file(file)):
            found.append(file)
    return found


def _vouched(journaled: Journaled, file: int, stamp: FileStamp | None) -> float:
    """Up to which byte of the file the journal's word still holds."""
    if journaled.stopped is not None:
        was = journaled.stopped[file]
        return _ALL if was is stamp is None or _unchanged(was, stamp) else 0
    was = journaled.begun[file]
    if was is None or stamp is None:
        return _ALL if was is stamp is None else 0  # None and None: padding, which is never made
    return stamp.size if was.inode == stamp.inode else 0


def _in_parts(
    layout: PartLayout, stamp: FileStamp | None, journaled: Journaled | None, stamps: Stamps
) -> Iterator[tuple[int, bool]]:
    """The pieces with bytes in the part file, and whether the journal's word holds for these."""
    geometry, files = layout.info.geometry, layout.info.files
    vouched = _vouched(journaled, len(files), stamp) if journaled is not None and stamp is not None else 0
    for index, slot in layout.slots.items():
        spans = geometry.spans(index, 0, geometry.piece_size(index))
        if any(stamps[span.file] is None and files[span.file].is_written for span in spans):
            yield index, (slot + 1) * geometry.piece_length <= vouched or vouched == _ALL


def _known(journaled: Journaled, file: int, stamp: FileStamp) -> bool:
    was = journaled.begun[file]
    if was is not None and was.inode == stamp.inode:
        return True
    return journaled.stopped is not None and _unchanged(journaled.stopped[file], stamp)


def _unchanged(was: FileStamp | None, now: FileStamp | None) -> bool:
    return was is not None and now is not None and (was.size, was.mtime_ns) == (now.size, now.mtime_ns)


def _pieces(geometry: Geometry, file_start: int, first: float, end: float) -> range:
    """The pieces that hold bytes from `first` to `end` of a file."""
    if first >= end:
        return range(0)
    length = geometry.piece_length
    return range((file_start + int(first)) // length, (file_start + int(end) - 1) // length + 1)


def _size(stamp: FileStamp | None) -> int:
    return stamp.size if stamp is not None else 0
