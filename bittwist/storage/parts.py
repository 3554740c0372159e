"""Where the bytes of skipped files are kept that wanted pieces bring with them: the part file.

Such bytes lie in pieces that hold more than one file. Each of these pieces has a slot of a piece's length in
the part file, always the same one, so that the file needs no index and nothing of it can be lost but bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from bittwist.metainfo.files import OURS
from bittwist.metainfo.geometry import FileSpan
from bittwist.metainfo.info import Info


@dataclass(frozen=True)
class PartLayout:
    """The slots of one torrent's part file. Padding and links are never written and count for nothing."""

    info: Info

    @property
    def path(self) -> PurePosixPath:
        """Below the save folder, in a folder whose name no torrent can have (`files.OURS`)."""
        return PurePosixPath(OURS, f"{self.info.info_hash}.parts")

    @cached_property
    def slots(self) -> dict[int, int]:
        """By piece, in ascending order, which slot it has."""
        geometry = self.info.geometry
        last = -1
        shared: dict[int, int] = {}
        for file, entry in enumerate(self.info.files):
            pieces = geometry.pieces_of_file(file)
            if not pieces or not entry.is_written:
                continue
            if pieces[0] == last:
                shared.setdefault(last, len(shared))
            last = pieces[-1]
        return shared

    @property
    def size(self) -> int:
        return len(self.slots) * self.info.piece_length

    def place(self, index: int, begin: int, length: int) -> FileSpan | None:
        """Where bytes of a piece are in the part file (its number is that after the last file), if at all."""
        slot = self.slots.get(index)
        if slot is None:
            return None
        return FileSpan(len(self.info.files), slot * self.info.piece_length + begin, length)

    def shared(self, file: int) -> tuple[int, ...]:
        """The pieces that a file shares with others: its first, its last, or none."""
        pieces = self.info.geometry.pieces_of_file(file)
        ends = dict.fromkeys((pieces[0], pieces[-1])) if pieces else ()
        return tuple(index for index in ends if index in self.slots)
