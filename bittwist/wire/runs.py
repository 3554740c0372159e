"""Piece and Request messages that come one behind the other, read and written in one loop.

At 800 MiB/s a block comes each 20 µs: what is done once for each message must be next to nothing, so
these two messages travel as lists of plain tuples (BEP 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct

from bittwist.wire.messages import MAX_REQUEST, Message, Piece, Request

Buffer = bytes | memoryview
Block = tuple[int, int, int]  # index, begin, length
BlockData = tuple[int, int, Buffer]  # index, begin, the block

_PIECE = Struct(">IBII")
_REQUEST = Struct(">IBIII")
_REQUEST_ID, _PIECE_ID = 6, 7


@dataclass(frozen=True, slots=True)
class Pieces:
    """Piece messages in a row; their views are valid as long as those of a `Piece`."""

    blocks: list[BlockData]

    def messages(self) -> Iterator[Message]:
        for index, begin, block in self.blocks:
            yield Piece(index, begin, block)


@dataclass(frozen=True, slots=True)
class Requests:
    """Request messages in a row."""

    blocks: list[Block]

    def messages(self) -> Iterator[Message]:
        for block in self.blocks:
            yield Request(*block)


def read_pieces(data: memoryview, at: int, blocks: list[BlockData]) -> int:
    """Add the whole Piece messages that begin at `at` to `blocks`; where what follows them begins.

    A message of a length that a Piece cannot have is left for `messages.decode` to refuse.
    """
    end = len(data)
    last = end - _PIECE.size
    unpack = _PIECE.unpack_from
    add = blocks.append
    while at <= last:
        length, identifier, index, begin = unpack(data, at)
        stop = at + 4 + length
        if identifier != _PIECE_ID or stop > end or not 9 < length <= 9 + MAX_REQUEST:
            break
        add((index, begin, data[at + 13 : stop]))
        at = stop
    return at


def read_requests(data: memoryview, at: int, blocks: list[Block]) -> int:
    """Likewise for Request messages."""
    last = len(data) - _REQUEST.size
    unpack = _REQUEST.unpack_from
    add = blocks.append
    while at <= last:
        prefix, identifier, index, begin, length = unpack(data, at)
        if identifier != _REQUEST_ID or prefix != 13 or not 0 < length <= MAX_REQUEST:
            break
        add((index, begin, length))
        at += 17
    return at


def write_requests(blocks: Sequence[Block]) -> bytes:
    """The bytes of a Request for each block."""
    pack = _REQUEST.pack
    return b"".join([pack(13, _REQUEST_ID, *block) for block in blocks])


def write_pieces(blocks: Sequence[BlockData], out: list[bytes | memoryview]) -> int:
    """Add header and block of each to `out`, uncopied; how many bytes that is."""
    pack = _PIECE.pack
    size = 13 * len(blocks)
    for index, begin, block in blocks:
        length = len(block)
        size += length
        out.append(pack(9 + length, _PIECE_ID, index, begin))
        out.append(block)
    return size
