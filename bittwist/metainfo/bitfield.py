"""The bitfield: which pieces somebody has (BEP 3, "bitfield")."""

from __future__ import annotations

from collections.abc import Iterator

from bittwist.errors import MetainfoError

# The places of the set bits (0: the highest) for each value of a byte.
_PLACES = tuple(tuple(bit for bit in range(8) if byte & 0x80 >> bit) for byte in range(256))
_MASKS = tuple(0x80 >> (index & 7) for index in range(8))


class Bitfield:
    """A set of piece indices below `num_pieces`, packed as on the wire: piece 0 is the high bit of byte 0.

    Spare bits are always 0 and `count` is always the number of set bits.
    """

    __slots__ = ("_bits", "_int", "count", "num_pieces")

    def __init__(self, num_pieces: int) -> None:
        self.num_pieces = num_pieces
        self.count = 0
        self._bits = bytearray((num_pieces + 7) // 8)
        self._int: int | None = 0  # as_int(), until a bit changes

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, num_pieces: int) -> Bitfield:
        """Read the wire form; MetainfoError if the length is wrong or a spare bit is set."""
        if len(data) != (num_pieces + 7) // 8:
            raise MetainfoError(f"a bitfield of {num_pieces} pieces is not {len(data)} bytes long")
        spare = -num_pieces % 8
        if spare and data[-1] & ((1 << spare) - 1):
            raise MetainfoError("a bitfield has spare bits set")
        bitfield = cls(num_pieces)
        bitfield._bits[:] = data
        bitfield._int = value = int.from_bytes(data, "big")
        bitfield.count = value.bit_count()
        return bitfield

    @classmethod
    def full(cls, num_pieces: int) -> Bitfield:
        """All pieces."""
        bitfield = cls(num_pieces)
        value = ((1 << num_pieces) - 1) << (-num_pieces % 8)
        bitfield._bits[:] = value.to_bytes(len(bitfield._bits), "big")
        bitfield._int = value
        bitfield.count = num_pieces
        return bitfield

    def __contains__(self, index: int) -> bool:
        return 0 <= index < self.num_pieces and self._bits[index >> 3] & _MASKS[index & 7] != 0

    def add(self, index: int) -> bool:
        """Set a bit and say whether it was unset before; IndexError if there is no such piece."""
        if not 0 <= index < self.num_pieces:
            raise IndexError(index)
        mask = _MASKS[index & 7]
        if self._bits[index >> 3] & mask:
            return False
        self._bits[index >> 3] |= mask
        self.count += 1
        self._int = None
        return True

    def discard(self, index: int) -> bool:
        """Unset a bit and say whether it was set before; IndexError if there is no such piece."""
        if not 0 <= index < self.num_pieces:
            raise IndexError(index)
        mask = _MASKS[index & 7]
        if not self._bits[index >> 3] & mask:
            return False
        self._bits[index >> 3] ^= mask
        self.count -= 1
        self._int = None
        return True

    @property
    def complete(self) -> bool:
        return self.count == self.num_pieces

    @property
    def empty(self) -> bool:
        return self.count == 0

    def __iter__(self) -> Iterator[int]:
        """The indices that are set, ascending."""
        return _indices(self._bits)

    def missing(self) -> Iterator[int]:
        """The indices that are not set, ascending."""
        inverse = Bitfield.full(self.num_pieces).as_int() ^ self.as_int()
        return _indices(inverse.to_bytes(len(self._bits), "big"))

    def as_int(self) -> int:
        """The wire form (spare bits and all) as one big-endian number, for set operations at one stroke."""
        value = self._int
        if value is None:
            self._int = value = int.from_bytes(self._bits, "big")
        return value

    def to_bytes(self) -> bytes:
        """The wire form."""
        return bytes(self._bits)

    def copy(self) -> Bitfield:
        twin = Bitfield(self.num_pieces)
        twin._bits[:] = self._bits
        twin._int = self._int
        twin.count = self.count
        return twin

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bitfield):
            return NotImplemented
        return self.num_pieces == other.num_pieces and self._bits == other._bits

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Bitfield {self.count}/{self.num_pieces}>"


def _indices(bits: bytes | bytearray) -> Iterator[int]:
    for at, byte in enumerate(bits):
        if byte:
            base = at << 3
            for place in _PLACES[byte]:
                yield base + place
