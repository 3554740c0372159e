"""What a message may name in this torrent: indices, offsets, the bitfield's length (BEP 3, BEP 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from bittwist.errors import RemoteProtocolError
from bittwist.metainfo.geometry import Geometry
from bittwist.wire.framing import MAX_MESSAGE
from bittwist.wire.messages import (
    AllowedFast,
    BitfieldMessage,
    Cancel,
    Have,
    Message,
    Piece,
    RejectRequest,
    Request,
    SuggestPiece,
)
from bittwist.wire.runs import Block, BlockData

_UNKNOWN = 1 << 32  # no 32-bit number reaches it: without the info dictionary every index is possible


class Bounds:
    """Refuses what does not exist; while that is unknown (a magnet link), remembers what is named."""

    def __init__(self) -> None:
        self.known = False
        self.max_message = MAX_MESSAGE
        self._last = _UNKNOWN  # the last piece's index
        self._piece_length = 2 * _UNKNOWN
        self._last_length = 2 * _UNKNOWN
        self._num_pieces = 0
        self._highest = -1  # the highest index claimed while nothing was known
        self._bitfield_length: int | None = None  # of the bitfield that came while nothing was known

    def know(self, geometry: Geometry) -> None:
        """From now on indices are checked; raises RemoteProtocolError if an earlier claim was false."""
        self.known = True
        self._num_pieces = geometry.num_pieces
        self._last = geometry.num_pieces - 1
        self._piece_length = geometry.piece_length
        self._last_length = geometry.piece_size(self._last) if geometry.num_pieces else 0
        self.max_message = max(MAX_MESSAGE, 1 + (geometry.num_pieces + 7) // 8)
        if self._highest > self._last:
            self._no_piece(self._highest)
        if self._bitfield_length is not None:
            self._check_bitfield_length(self._bitfield_length)

    def check(self, message: Message) -> None:
        """RemoteProtocolError if the message names what is not there."""
        match message:
            case Piece(index, begin, block):
                self._check_span(index, begin + len(block))
            case Request() | Cancel() | RejectRequest():
                self._check_span(message.index, message.begin + message.length)
            case Have(index) | SuggestPiece(index) | AllowedFast(index):
                if index > self._last:
                    self._no_piece(index)
                if not self.known:
                    self._highest = max(self._highest, index)
            case BitfieldMessage(bits):
                self._check_bitfield(bits)
            case _:
                pass

    def good_pieces(self, blocks: Sequence[BlockData]) -> int:
        """How many of these Piece messages in a row name what is there, up to the first that does not."""
        last, length = self._last, self._piece_length
        for number, (index, begin, block) in enumerate(blocks):
            end = begin + len(block)
            if (index >= last or end > length) and not self._has_span(index, end):
                return number
        return len(blocks)

    def good_requests(self, blocks: Sequence[Block]) -> int:
        """Likewise for Request messages."""
        last, length = self._last, self._piece_length
        for number, (index, begin, size) in enumerate(blocks):
            end = begin + size
            if (index >= last or end > length) and not self._has_span(index, end):
                return number
        return len(blocks)

    def _has_span(self, index: int, end: int) -> bool:
        if index > self._last:
            return False
        return end <= (self._last_length if index == self._last else self._piece_length)

    def _check_span(self, index: int, end: int) -> None:
        if index < self._last:
            allowed = self._piece_length
        elif index == self._last:
            allowed = self._last_length
        else:
            self._no_piece(index)
        if end > allowed:
            raise RemoteProtocolError(f"bytes up to {end} of piece {index}, which has {allowed}")

    def _check_bitfield(self, bits: bytes) -> None:
        highest = _highest_bit(bits)
        if self.known:
            self._check_bitfield_length(len(bits))
            if highest > self._last:
                raise RemoteProtocolError("a bitfield with spare bits set")
        else:
            self._bitfield_length = len(bits)
            self._highest = max(self._highest, highest)

    def _check_bitfield_length(self, length: int) -> None:
        if length != (self._num_pieces + 7) // 8:
            raise RemoteProtocolError(f"a bitfield of {length} bytes for {self._num_pieces} pieces")

    def _no_piece(self, index: int) -> NoReturn:
        raise RemoteProtocolError(f"piece {index} of {self._num_pieces}")


def _highest_bit(bits: bytes) -> int:
    """The index of the last piece set, or -1."""
    used = bits.rstrip(b"\0")
    if not used:
        return -1
    lowest = used[-1] & -used[-1]
    return 8 * len(used) - lowest.bit_length()
