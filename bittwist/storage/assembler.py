"""Gathering blocks into whole pieces, without I/O.

Each block is copied once, from the receive buffer into its piece's own buffer, and the buffer then serves
for hashing and writing. Buffers are used again: no allocation, and no page faults, a piece.
"""

from __future__ import annotations

from bittwist.errors import LocalProtocolError
from bittwist.metainfo.geometry import Geometry

SPARE = 16 << 20  # bytes of empty buffers kept: as much as may wait to be written, and is then free at once


class Assembler:
    """Owns the buffers of the pieces in flight: those being gathered and those taken to be kept.

    How many pieces are in flight at once is the picker's to bound; `bytes` is what they cost now.
    """

    def __init__(self, geometry: Geometry, *, spare: int = SPARE) -> None:
        self._geometry = geometry
        self._pieces: dict[int, memoryview] = {}
        self._taken: dict[int, memoryview] = {}  # keyed by the identity of the buffer
        self._spare: list[memoryview] = []
        self._max_spare = max(1, spare // geometry.piece_length)

    def buffer(self, index: int) -> memoryview:
        """The piece as far as it is here, to copy blocks to their places."""
        try:
            return self._pieces[index]
        except KeyError:
            piece = self._pieces[index] = self._fresh(index)
            return piece

    def take(self, index: int) -> memoryview:
        """The whole piece, out of the gathering; the caller gives it back with `release`."""
        try:
            piece = self._pieces.pop(index)
        except KeyError:
            raise LocalProtocolError(f"no block of piece {index} is here") from None
        self._taken[id(piece.obj)] = piece
        return piece

    def release(self, view: memoryview) -> None:
        """Take back what `take` gave; from now on its bytes may change."""
        piece = self._taken.pop(id(view.obj), None)
        if piece is None:
            raise LocalProtocolError("a piece was released that was not taken")
        self._recycle(piece)

    def drop(self, index: int) -> None:
        """Forget what was gathered of a piece."""
        piece = self._pieces.pop(index, None)
        if piece is not None:
            self._recycle(piece)

    def clear(self) -> None:
        """Forget all that was gathered; what is taken is still to be released."""
        for index in list(self._pieces):
            self.drop(index)

    def partial(self, index: int) -> bool:
        """Whether any block of the piece is here."""
        return index in self._pieces

    @property
    def bytes(self) -> int:
        """Memory held: pieces being gathered, pieces taken and spare buffers."""
        return (len(self._pieces) + len(self._taken) + len(self._spare)) * self._buffer_size

    @property
    def _buffer_size(self) -> int:
        return min(self._geometry.piece_length, self._geometry.total_size)

    def _fresh(self, index: int) -> memoryview:
        buffer = self._spare.pop() if self._spare else memoryview(bytearray(self._buffer_size))
        size = self._geometry.piece_size(index)
        return buffer if size == len(buffer) else buffer[:size]

    def _recycle(self, piece: memoryview) -> None:
        if len(self._spare) < self._max_spare:
            buffer = piece.obj
            assert isinstance(buffer, bytearray)
            self._spare.append(memoryview(buffer))
