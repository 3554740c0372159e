"""What of a torrent is wanted, and what of it first: from the priorities of files to those of pieces.

A piece is wanted where any byte of a wanted file is in it; padding (BEP 47) is never a reason. Where no file
is skipped every piece is wanted, the ones that hold nothing but padding, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from bittwist.metainfo.files import FileEntry
from bittwist.metainfo.geometry import Geometry

EDGE = 8  # the level of a wanted file's first and last piece, where these go first: above every priority
UNWANTED = 0


class Priority(IntEnum):
    """How much a file is wanted; the numbers are those that other clients use."""

    SKIP = 0
    LOW = 1
    NORMAL = 4
    HIGH = 7


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user wants of one torrent. `priorities` has one for each file, or none: all are NORMAL.

    `sequential`: of equally wanted pieces the first one is fetched first, not the rarest one.
    `first_and_last`: the first and last piece of each wanted file before all others (players look there).
    """

    priorities: tuple[Priority, ...] = ()
    sequential: bool = False
    first_and_last: bool = False

    def changed(self, priorities: Mapping[int, Priority], num_files: int) -> Wishes:
        """With other priorities for some files; IndexError where there is no such file."""
        files = list(self.priorities) or [Priority.NORMAL] * num_files
        for file, priority in priorities.items():
            if not 0 <= file < num_files:
                raise IndexError(file)
            files[file] = Priority(priority)
        plain = all(priority is Priority.NORMAL for priority in files)
        return replace(self, priorities=() if plain else tuple(files))

    def of(self, file: int) -> Priority:
        return self.priorities[file] if self.priorities else Priority.NORMAL

    @property
    def skipped(self) -> frozenset[int]:
        """The files that are not wanted."""
        return frozenset(file for file, priority in enumerate(self.priorities) if priority is Priority.SKIP)


def selected(ranges: Sequence[range], num_files: int) -> dict[int, Priority]:
    """What a magnet link's `so` (BEP 53) says of each file; nothing where it names no file there is."""
    named = {file for span in ranges for file in range(span.start, min(span.stop, num_files))}
    if not named:
        return {}
    return {file: Priority.NORMAL if file in named else Priority.SKIP for file in range(num_files)}


def levels(geometry: Geometry, files: Sequence[FileEntry], wishes: Wishes) -> bytes:
    """For each piece how much it is wanted: UNWANTED, the highest Priority of a file in it, or EDGE."""
    priorities = wishes.priorities
    least = Priority.NORMAL if not priorities else Priority.LOW
    found = bytearray([Priority.SKIP if Priority.SKIP in priorities else least]) * geometry.num_pieces
    for file, entry in enumerate(files):
        priority = wishes.of(file)
        if entry.is_pad or priority is Priority.SKIP:
            continue
        pieces = geometry.pieces_of_file(file)
        if priorities:
            _raise(found, pieces, priority)
        if wishes.first_and_last and pieces:
            found[pieces[0]] = found[pieces[-1]] = EDGE
    return bytes(found)


def _raise(found: bytearray, pieces: range, priority: Priority) -> None:
    """Only the first and the last piece can hold other files: those between are set at one stroke."""
    if len(pieces) > 2:
        found[pieces[1] : pieces[-1]] = bytes([priority]) * (len(pieces) - 2)
    for index in (pieces[0], pieces[-1]) if pieces else ():
        found[index] = max(found[index], priority)
