"""A piece that is being fetched: which of its blocks are unrequested, and who gave which."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush


class ActivePiece:
    """The blocks of one active piece, by number (0 is the block at `begin` 0); owned by the picker.

    `unrequested` and `missing` (not received) are kept as numbers. While blocks are unrequested
    the piece may have an `owner`, the peer that goes on asking for them in order.
    """

    __slots__ = (
        "_next",
        "_returned",
        "base",
        "givers",
        "index",
        "missing",
        "num_blocks",
        "owner",
        "unrequested",
    )

    def __init__(self, index: int, base: int, num_blocks: int) -> None:
        self.index = index
        self.base = base  # the running number in the torrent of its first block
        self.num_blocks = num_blocks
        self.unrequested = num_blocks
        self.missing = num_blocks
        self.givers: list[int | None] = [None] * num_blocks
        self.owner: int | None = None
        self._next = 0  # from here on nothing was ever requested
        self._returned: list[int] = []  # a heap of those requested once and given back

    @property
    def idle(self) -> bool:
        """Nothing of it is outstanding."""
        return self.missing == self.unrequested

    @property
    def untouched(self) -> bool:
        """Nothing of it is outstanding, and nothing came."""
        return self.unrequested == self.num_blocks

    def take(self, count: int) -> Sequence[int]:
        """Up to `count` unrequested blocks, now requested; given back ones first, else in order."""
        if self._returned:
            taken: Sequence[int] = [heappop(self._returned) for _ in range(min(count, len(self._returned)))]
        else:
            first = self._next
            self._next = min(first + count, self.num_blocks)
            taken = range(first, self._next)
        self.unrequested -= len(taken)
        return taken

    def give_back(self, number: int) -> None:
        """A requested block will not come."""
        heappush(self._returned, number)
        self.unrequested += 1

    def found(self, number: int) -> None:
        """An unrequested block came all the same (late, after it was given back)."""
        self.unrequested -= 1
        if number >= self._next:
            self._returned.extend(range(self._next, self.num_blocks))
            self._next = self.num_blocks
        self._returned.remove(number)
        heapify(self._returned)
