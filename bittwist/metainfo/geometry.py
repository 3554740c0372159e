"""All arithmetic of pieces, blocks and files (BEP 3).

A *piece* has a hash; a *block* is the 16 KiB of it that one request asks for.
Pieces run on over the ends of files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from bittwist.errors import MetainfoError

BLOCK = 16 << 10  # what every client asks for, and many refuse more


@dataclass(frozen=True, slots=True)
class FileSpan:
    """`length` bytes at `offset` of the file with that running number."""

    file: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Geometry:
    """How `total_size` bytes fall into pieces, and into the files that have `file_sizes` (none: one file)."""

    piece_length: int
    total_size: int
    file_sizes: tuple[int, ...] = ()
    num_pieces: int = field(init=False)
    _last: int = field(init=False, repr=False, compare=False)  # the index of the last piece
    _last_size: int = field(init=False, repr=False, compare=False)
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)  # where each file ends

    def __post_init__(self) -> None:
        if self.piece_length <= 0 or self.total_size < 0:
            raise MetainfoError(f"pieces of {self.piece_length} bytes, {self.total_size} bytes in all")
        put = object.__setattr__
        if not self.file_sizes:
            put(self, "file_sizes", (self.total_size,))
        put(self, "_ends", tuple(accumulate(self.file_sizes)))
        if self._ends[-1] != self.total_size:
            raise MetainfoError(f"files have {self._ends[-1]} bytes, not {self.total_size}")
        put(self, "num_pieces", -(-self.total_size // self.piece_length))
        put(self, "_last", self.num_pieces - 1)
        put(self, "_last_size", self.total_size - max(0, self._last) * self.piece_length)

    def piece_size(self, index: int) -> int:
        """Bytes in the piece: `piece_length`, in the last one what is left. IndexError if there is none."""
        if index < self._last:
            if index < 0:
                raise IndexError(index)
            return self.piece_length
        if index != self._last or index < 0:
            raise IndexError(index)
        return self._last_size

    def num_blocks(self, index: int) -> int:
        return (self.piece_size(index) + BLOCK - 1) // BLOCK

    def block_length(self, index: int, begin: int) -> int:
        """Bytes in the block of ours that starts at `begin`: 16 KiB, at a piece's end what is left."""
        left = self.piece_size(index) - begin
        return BLOCK if left > BLOCK else left

    def blocks(self, index: int) -> Iterator[tuple[int, int]]:
        """(begin, length) of the blocks of a piece, in order."""
        size = self.piece_size(index)
        for begin in range(0, size, BLOCK):
            yield begin, min(BLOCK, size - begin)

    def is_block(self, index: int, begin: int, length: int) -> bool:
        """Whether these bytes exist and lie within one piece (what a request may name)."""
        if length <= 0 or begin < 0 or not 0 <= index <= self._last:
            return False
        return begin + length <= (self._last_size if index == self._last else self.piece_length)

    def spans(self, index: int, begin: int, length: int) -> list[FileSpan]:
        """Where those bytes of a piece lie in the files, in order; empty files never appear."""
        if not self.is_block(index, begin, length):
            raise IndexError((index, begin, length))
        at = index * self.piece_length + begin
        end = at + length
        file = bisect_right(self._ends, at)
        spans = []
        while at < end:
            file_end = self._ends[file]
            if file_end > at:
                take = min(end, file_end) - at
                spans.append(FileSpan(file, at - file_end + self.file_sizes[file], take))
                at += take
            file += 1
        return spans

    def file_start(self, file: int) -> int:
        """Where in the torrent a file begins."""
        return self._ends[file] - self.file_sizes[file]

    def pieces_of_file(self, file: int) -> range:
        """The pieces that hold bytes of a file; none for an empty file."""
        end = self._ends[file]
        size = self.file_sizes[file]
        if not size:
            return range(0)
        return range((end - size) // self.piece_length, (end - 1) // self.piece_length + 1)
