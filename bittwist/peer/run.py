"""A run: blocks that follow one another, fetched as one stream of bytes (BEP 19). Without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bittwist.metainfo.geometry import Geometry
from bittwist.wire.runs import Block, BlockData


class Run:
    """Owns the place in the stream, the block that is half here, and which blocks are wanted no more."""

    def __init__(self, at: int, blocks: list[Block]) -> None:
        self.at = at  # the byte of the torrent that comes next
        self.left = sum(length for _, _, length in blocks)
        self._blocks = blocks
        self._next = 0
        self._half = bytearray()
        self._unwanted: set[tuple[int, int]] = set()

    def wanted(self) -> list[Block]:
        """The blocks that are still to come."""
        return [block for block in self._blocks[self._next :] if block[:2] not in self._unwanted]

    def cancel(self, block: Block) -> bool:
        """It is not wanted any more: whether it was still to come."""
        if block not in self.wanted():
            return False
        self._unwanted.add(block[:2])
        return True

    def came(self, data: bytes | memoryview) -> list[BlockData]:
        """The next bytes: the blocks that they complete, but for those that were cancelled."""
        view = memoryview(data)
        self.at += len(view)
        self.left -= len(view)
        whole: list[BlockData] = []
        while view:
            index, begin, length = self._blocks[self._next]
            if not self._half and len(view) >= length:
                block: memoryview | bytearray = view[:length]
                view = view[length:]
            else:
                missing = length - len(self._half)
                self._half += view[:missing]
                view = view[missing:]
                if len(self._half) < length:
                    break
                block, self._half = self._half, bytearray()
            self._next += 1
            if (index, begin) not in self._unwanted:
                whole.append((index, begin, memoryview(block)))
        return whole


def runs(blocks: Iterable[Block], geometry: Geometry, limit: int) -> Iterator[Run]:
    """The blocks, in their order, as runs of at most about `limit` bytes."""
    begun: list[Block] = []
    start = end = 0
    for block in blocks:
        index, begin, length = block
        at = index * geometry.piece_length + begin
        if begun and (at != end or end - start >= limit):
            yield Run(start, begun)
            begun = []
        if not begun:
            start = at
        begun.append(block)
        end = at + length
    if begun:
        yield Run(start, begun)
