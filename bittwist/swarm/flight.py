"""The pieces in flight: which blocks are asked of whom, and which came.

A piece in flight is *active* (blocks are to be asked for, or outstanding) or *verifying* (all are
here). An active piece that is not wanted any more is *parked*: nothing more of it is asked for, and it keeps
what came. Any other with unrequested blocks is *open*; an open piece either has an owner, the peer that goes
on with it, or is an *orphan*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from bittwist.metainfo.geometry import BLOCK, Geometry
from bittwist.swarm.active import ActivePiece
from bittwist.swarm.requests import Requests

Block = tuple[int, int, int]  # index, begin, length
Arrived = tuple[int, int, bytes | memoryview]  # index, begin, the block
PeerKey = int


class PieceState(Enum):
    UNWANTED = auto()
    WANTED = auto()
    ACTIVE = auto()  # some block was asked for, or came
    VERIFYING = auto()  # all blocks are here, the hash is not checked
    HAVE = auto()


@dataclass(frozen=True, slots=True)
class Came:
    """What blocks that came in a row were good for."""

    fresh: list[Arrived]  # first copies: keep them
    whole: list[int]  # pieces of which they were the last: verify them
    others: list[tuple[PeerKey, int, int]]  # who were asked for (index, begin) too: each gets a Cancel


class InFlight:
    """Owns the pieces in flight and the outstanding requests; its public dicts are to be read only."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._stride = -(-geometry.piece_length // BLOCK)  # blocks of a whole piece
        self._requests = Requests()
        self.active: dict[int, ActivePiece] = {}
        self.verifying: dict[int, ActivePiece] = {}
        self.open: dict[int, ActivePiece] = {}
        self.orphans: dict[int, ActivePiece] = {}
        self.parked: dict[int, ActivePiece] = {}
        self.owned: dict[PeerKey, ActivePiece] = {}  # by owner

    def __len__(self) -> int:
        return len(self.active) + len(self.verifying)

    def __contains__(self, index: int) -> bool:
        return index in self.active or index in self.verifying

    def start(self, index: int) -> ActivePiece:
        """The piece becomes active, and an orphan."""
        piece = ActivePiece(index, index * self._stride, self._geometry.num_blocks(index))
        self.active[index] = self.open[index] = self.orphans[index] = piece
        return piece

    def own(self, key: PeerKey, piece: ActivePiece) -> None:
        """The peer goes on with an open piece that nobody owns; what it owned before is an orphan."""
        self.disown(key)
        self.orphans.pop(piece.index, None)
        piece.owner = key
        self.owned[key] = piece

    def disown(self, key: PeerKey) -> None:
        """The peer does not go on with the piece it owns, if any."""
        piece = self.owned.pop(key, None)
        if piece is not None:
            piece.owner = None
            self.orphans[piece.index] = piece

    def take(self, piece: ActivePiece, count: int, asked: tuple[PeerKey, float], blocks: list[Block]) -> None:
        """Up to `count` unrequested blocks of an open piece go to `blocks`, as `asked` of whom and when."""
        index, base, first = piece.index, piece.base, self._requests.first
        number = 0
        for number in piece.take(count):
            first[base + number] = asked
            blocks.append((index, number * BLOCK, BLOCK))
        if number == piece.num_blocks - 1:
            blocks[-1] = self._block(base + number)
        if not piece.unrequested:
            self._close(piece)

    def again(self, key: PeerKey, *, before: float, hasty: bool) -> Iterator[Block]:
        """Blocks of others that `key` may be asked for too: those `repeat` is told of count as asked."""
        for block in self._requests.again(key, before=before, hasty=hasty):
            yield self._block(block)

    def repeat(self, block: Block, key: PeerKey) -> None:
        self._requests.repeat(block[0] * self._stride + block[1] // BLOCK, key)

    def came(self, key: PeerKey, blocks: Sequence[Arrived]) -> Came:
        """Blocks came in a row; whole pieces are verifying from now on."""
        fresh: list[Arrived] = []
        whole: list[int] = []
        others: list[tuple[PeerKey, int, int]] = []
        requests = self._requests
        first, copies = requests.first, requests.copies
        current, piece = -1, None
        for block in blocks:
            index, begin, _ = block
            if index != current:
                current, piece = index, self.active.get(index)
            number = begin // BLOCK
            if piece is None or piece.givers[number] is not None:
                continue
            fresh.append(block)
            piece.givers[number] = key
            piece.missing -= 1
            running = piece.base + number
            asked = first.get(running)
            if asked is None:
                piece.found(number)
                if not piece.unrequested:
                    self._close(piece)
            elif asked[0] == key and not copies:
                del first[running]
            else:
                others += [(other, index, begin) for other in requests.drop(running) if other != key]
            if not piece.missing:
                del self.active[index]
                self.parked.pop(index, None)
                self.verifying[index] = piece
                whole.append(index)
                piece = None
        return Came(fresh, whole, others)

    def released(self, key: PeerKey, blocks: Iterable[Block]) -> None:
        """The peer will not send these; it loses the piece it owns."""
        for index, begin, _ in blocks:
            if index in self.active:
                self._withdraw(index * self._stride + begin // BLOCK, key)
        self.disown(key)

    def left(self, key: PeerKey) -> None:
        """The peer will send nothing more."""
        for block in self._requests.of(key):
            self._withdraw(block, key)
        self.disown(key)

    def finished(self, index: int) -> ActivePiece | None:
        """The piece was checked; None if it was not verifying."""
        return self.verifying.pop(index, None)

    def sort_out(self, levels: Sequence[int]) -> list[int]:
        """Park the active pieces of level 0 and no others; those nothing came of are abandoned and named."""
        abandoned = []
        for index, piece in tuple(self.active.items()):
            if levels[index]:
                if self.parked.pop(index, None) and piece.unrequested:
                    self.open[index] = self.orphans[index] = piece
            elif piece.untouched:
                self.abandon(index)
                abandoned.append(index)
            elif index not in self.parked:
                self.parked[index] = piece
                if piece.unrequested:
                    self._close(piece)
        return abandoned

    def late(self, piece: ActivePiece, key: PeerKey, *, before: float) -> Iterator[Block]:
        """Blocks of one piece that were asked of others up to `before`, as `again` gives them."""
        for block in self._requests.late(piece.base, piece.num_blocks, key, before=before):
            yield self._block(block)

    def abandon(self, index: int) -> None:
        """An active piece, or what came of it, is of no use any more: forget it and who was asked."""
        piece = self.active.pop(index, None)
        if piece is None:
            return
        self.parked.pop(index, None)
        if piece.unrequested:
            self._close(piece)
        for block in range(piece.base, piece.base + piece.num_blocks):
            self._requests.drop(block)

    def _withdraw(self, block: int, key: PeerKey) -> None:
        if self._requests.withdraw(block, key):
            index, number = divmod(block, self._stride)
            piece = self.active[index]
            piece.give_back(number)
            if index in self.parked:
                return
            self.open[index] = piece
            if piece.owner is None:
                self.orphans[index] = piece

    def _close(self, piece: ActivePiece) -> None:
        """No block of it is unrequested now: it needs no owner."""
        self.open.pop(piece.index, None)
        self.orphans.pop(piece.index, None)
        if piece.owner is not None:
            del self.owned[piece.owner]
            piece.owner = None

    def _block(self, block: int) -> Block:
        index, number = divmod(block, self._stride)
        return index, number * BLOCK, self._geometry.block_length(index, number * BLOCK)
