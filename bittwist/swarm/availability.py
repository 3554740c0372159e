"""How many peers have each piece (BEP 3: "rarest first" needs it)."""

from __future__ import annotations

from operator import add, sub

from bittwist.metainfo.bitfield import Bitfield

FEW = 32  # a bitfield with less than 1/FEW of the pieces is counted piece by piece, else all at one stroke


class Availability:
    """A count for each piece; peers that have every piece are counted once, in `seeds`."""

    __slots__ = ("partial", "seeds")

    def __init__(self, num_pieces: int) -> None:
        self.seeds = 0
        self.partial = [0] * num_pieces  # how many peers that are no seeds have it; to be read only

    def __getitem__(self, index: int) -> int:
        return self.partial[index] + self.seeds

    def add(self, bitfield: Bitfield) -> None:
        """A peer came; a complete bitfield costs O(1)."""
        if bitfield.complete:
            self.seeds += 1
        elif bitfield.count * FEW < bitfield.num_pieces:
            for index in bitfield:
                self.partial[index] += 1
        else:
            self.partial = list(map(add, self.partial, _ones(bitfield)))

    def remove(self, bitfield: Bitfield) -> None:
        """A peer went; `bitfield` as it was added, with what `have` and `completed` were told since."""
        if bitfield.complete:
            self.seeds -= 1
        elif bitfield.count * FEW < bitfield.num_pieces:
            for index in bitfield:
                self.partial[index] -= 1
        else:
            self.partial = list(map(sub, self.partial, _ones(bitfield)))

    def have(self, index: int) -> None:
        """A peer that is no seed has one piece more."""
        self.partial[index] += 1

    def completed(self) -> None:
        """The last `have` made a peer a seed: it is counted among them from now on."""
        self.partial = [count - 1 for count in self.partial]
        self.seeds += 1


def _ones(bitfield: Bitfield) -> bytes:
    """A byte for each piece, 1 where it is set, without a step of Python for each piece."""
    width = (bitfield.num_pieces + 7) // 8 * 8
    return f"{bitfield.as_int():0{width}b}".encode().translate(_DIGITS)


_DIGITS = bytes.maketrans(b"01", b"\0\1")
