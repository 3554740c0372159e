"""What each peer has, and which wanted piece of its to fetch next."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from random import Random

from bittwist.metainfo.bitfield import Bitfield
from bittwist.swarm.availability import FEW, Availability
from bittwist.swarm.priorities import UNWANTED, Priority
from bittwist.swarm.rarest import Rarest

PeerKey = int


class _Peer:
    """What one peer has."""

    __slots__ = ("dry_at", "has", "lacking")

    def __init__(self, has: Bitfield) -> None:
        self.has = has  # complete: the one bitfield all seeds share
        self.lacking = 0  # how many pieces it has that we want and lack; not kept for seeds
        self.dry_at = -1  # at which `_returns` it was found to have nothing to pick


class Holdings:
    """Owns the peers' bitfields, the availability, and the order of the wanted pieces.

    `levels` says how much each piece is wanted (`priorities.levels`); the pieces of each level that can be
    picked are on a shelf of their own, the most wanted first. `left` counts the pieces we want and lack.
    """

    def __init__(self, have: Bitfield) -> None:
        self._have = have  # ours; the picker's
        self._full = Bitfield.full(have.num_pieces)
        self._peers: dict[PeerKey, _Peer] = {}
        self._returns = 0  # how often a piece became wanted again
        self.availability = Availability(have.num_pieces)
        self.levels = bytes([Priority.NORMAL]) * have.num_pieces  # to be read only
        self.sequential = False
        self.left = 0
        self._wanted = self._full
        self.restored()

    def prioritise(self, levels: bytes, sequential: bool, taken: Collection[int]) -> None:
        """Other pieces are wanted than before; those `taken` are not to be picked now."""
        self.levels, self.sequential = levels, sequential
        self._wanted = self._full
        if UNWANTED in levels:
            self._wanted = Bitfield(self._full.num_pieces)
            for index, level in enumerate(levels):
                if level != UNWANTED:
                    self._wanted.add(index)
        self.restored(taken)

    def restored(self, taken: Collection[int] = ()) -> None:
        """Our pieces are other ones than before: all that we lack and want can be picked, but those taken."""
        levels, num_pieces = self.levels, self._have.num_pieces
        wanted = {level: Bitfield(num_pieces) for level in sorted(set(levels) - {UNWANTED}, reverse=True)}
        for index in self._have.missing():
            level = levels[index]
            if level != UNWANTED and index not in taken:
                wanted[level].add(index)
        self._shelves = {level: Rarest(self.availability, pieces) for level, pieces in wanted.items()}
        self.left = self._count_lacking(self._full)
        self._returns += 1
        for peer in self._peers.values():
            peer.lacking = self._count_lacking(peer.has)

    def joined(self, key: PeerKey, bitfield: Bitfield) -> None:
        """A peer has these pieces; said again, it replaces what was known."""
        if key in self._peers:
            self.left_by(key)
        peer = self._peers[key] = _Peer(self._full if bitfield.complete else bitfield.copy())
        peer.lacking = self._count_lacking(bitfield)
        self.availability.add(bitfield)
        self._moved(bitfield)

    def peer_have(self, key: PeerKey, index: int) -> None:
        peer = self._peers[key]
        if peer.has.complete or not peer.has.add(index):
            return
        self.availability.have(index)
        level = self.levels[index]
        if level != UNWANTED and index not in self._have:
            peer.lacking += 1
            peer.dry_at = -1
        if peer.has.complete:
            peer.has = self._full
            self.availability.completed()
            for shelf in self._shelves.values():
                shelf.all_moved()
        elif level != UNWANTED:
            self._shelves[level].moved(index)

    def left_by(self, key: PeerKey) -> None:
        """A peer is gone."""
        has = self._peers.pop(key).has
        self.availability.remove(has)
        self._moved(has)

    def __contains__(self, key: PeerKey) -> bool:
        return key in self._peers

    def of(self, key: PeerKey) -> Bitfield:
        """What a peer has; not to be changed."""
        return self._peers[key].has

    def holders(self, index: int) -> Iterator[PeerKey]:
        """The peers that have a piece."""
        return (key for key, peer in self._peers.items() if index in peer.has)

    def interesting(self, key: PeerKey) -> bool:
        """Whether a peer has a piece that we want and lack."""
        peer = self._peers[key]
        return self.left > 0 if peer.has.complete else peer.lacking > 0

    def got(self, index: int) -> None:
        """We have the piece now, and `have` says so."""
        level = self.levels[index]
        if level == UNWANTED:
            return
        self.left -= 1
        self._shelves[level].discard(index)
        for peer in self._peers.values():
            if index in peer.has:
                peer.lacking -= 1

    # The wanted pieces

    def wants(self, index: int) -> bool:
        return self.levels[index] != UNWANTED

    def is_pickable(self, index: int) -> bool:
        """Whether `next` may name the piece."""
        return self.levels[index] != UNWANTED and index in self._shelves[self.levels[index]]

    def is_top(self, index: int) -> bool:
        """Whether the piece is pickable, and no other is wanted more."""
        level = next((level for level, shelf in self._shelves.items() if len(shelf)), UNWANTED)
        return level == self.levels[index] and self.is_pickable(index)

    def put_back(self, index: int) -> None:
        """The piece can be picked (again), if it is wanted at all."""
        if self.levels[index] != UNWANTED:
            self._shelves[self.levels[index]].add(index)
            self._returns += 1

    def take(self, index: int) -> None:
        """The piece is not to be picked any more."""
        if self.levels[index] != UNWANTED:
            self._shelves[self.levels[index]].discard(index)

    def next(self, key: PeerKey, random: Random) -> int | None:
        """The most wanted piece a peer has: of equals the first or the rarest, then ties by chance."""
        peer = self._peers[key]
        if peer.dry_at == self._returns:
            return None
        for shelf in self._shelves.values():
            index = shelf.first(peer.has) if self.sequential else shelf.pick(peer.has, random)
            if index is not None:
                return index
        peer.dry_at = self._returns  # until a piece comes back or the peer gets another
        return None

    def by_chance(self, key: PeerKey, random: Random) -> int | None:
        """Any of the most wanted pieces, if a peer has it; None does not mean that there is none."""
        if self.sequential:
            return None
        for shelf in self._shelves.values():
            if len(shelf):
                return shelf.by_chance(self._peers[key].has, random)
        return None

    def best_of(self, key: PeerKey, only: Collection[int]) -> int | None:
        """The most wanted piece a peer has among a few, of equals the first or the rarest."""
        has, levels = self._peers[key].has, self.levels
        offered = [index for index in sorted(only) if index in has and self.is_pickable(index)]
        if self.sequential:
            return min(offered, key=lambda index: (-levels[index], index), default=None)
        return min(offered, key=lambda index: (-levels[index], self.availability[index]), default=None)

    def _count_lacking(self, has: Bitfield) -> int:
        return (has.as_int() & self._wanted.as_int() & ~self._have.as_int()).bit_count()

    def _moved(self, bitfield: Bitfield) -> None:
        """A peer with these pieces came or went."""
        if bitfield.count * FEW < bitfield.num_pieces:
            for index in bitfield:
                level = self.levels[index]
                if level != UNWANTED:
                    self._shelves[level].moved(index)
        elif not bitfield.complete:
            for shelf in self._shelves.values():
                shelf.all_moved()
