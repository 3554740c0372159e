"""What each peer has, and which wanted piece of its to fetch next."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from bittwist.metainfo.bitfield import Bitfield
from bittwist.swarm.availability import FEW, Availability
from bittwist.swarm.rarest import Rarest

PeerKey = int


class _Peer:
    """What one peer has."""

    __slots__ = ("dry_at", "has", "lacking")

    def __init__(self, has: Bitfield) -> None:
        self.has = has  # complete: the one bitfield all seeds share
        self.lacking = 0  # how many pieces it has that we lack; not kept for seeds
        self.dry_at = -1  # at which `_returns` it was found to have nothing wanted


class Holdings:
    """Owns the peers' bitfields, the availability, and the order of the wanted pieces."""

    def __init__(self, have: Bitfield) -> None:
        self._have = have  # ours; the picker's
        self._full = Bitfield.full(have.num_pieces)
        self._peers: dict[PeerKey, _Peer] = {}
        self._returns = 0  # how often a piece became wanted again
        self.availability = Availability(have.num_pieces)
        self.restored()

    def restored(self) -> None:
        """Our pieces are other ones than before: all that we lack are wanted."""
        wanted = Bitfield(self._have.num_pieces)
        for index in self._have.missing():
            wanted.add(index)
        self._rarest = Rarest(self.availability, wanted)
        self._returns += 1
        for peer in self._peers.values():
            peer.lacking = self._count_lacking(peer.has)

    def joined(self, key: PeerKey, bitfield: Bitfield) -> None:
        """A peer has these pieces; said again, it replaces what was known."""
        if key in self._peers:
            self.left(key)
        peer = self._peers[key] = _Peer(self._full if bitfield.complete else bitfield.copy())
        peer.lacking = self._count_lacking(bitfield)
        self.availability.add(bitfield)
        self._moved(bitfield)

    def joined_seed(self, key: PeerKey) -> None:
        self.joined(key, self._full)

    def peer_have(self, key: PeerKey, index: int) -> None:
        peer = self._peers[key]
        if peer.has.complete or not peer.has.add(index):
            return
        self.availability.have(index)
        if index not in self._have:
            peer.lacking += 1
            peer.dry_at = -1
        if peer.has.complete:
            peer.has = self._full
            self.availability.completed()
            self._rarest.all_moved()
        else:
            self._rarest.moved(index)

    def left(self, key: PeerKey) -> None:
        has = self._peers.pop(key).has
        self.availability.remove(has)
        self._moved(has)

    def __contains__(self, key: PeerKey) -> bool:
        return key in self._peers

    def of(self, key: PeerKey) -> Bitfield:
        """What a peer has; not to be changed."""
        return self._peers[key].has

    def interesting(self, key: PeerKey) -> bool:
        """Whether a peer has a piece that we lack."""
        peer = self._peers[key]
        return not self._have.complete if peer.has.complete else peer.lacking > 0

    def got(self, index: int) -> None:
        """We have the piece now, and `have` says so."""
        self._rarest.discard(index)
        for peer in self._peers.values():
            if index in peer.has:
                peer.lacking -= 1

    # The wanted pieces

    def is_wanted(self, index: int) -> bool:
        """Whether `rarest` may name the piece."""
        return index in self._rarest

    def want(self, index: int) -> None:
        self._rarest.add(index)
        self._returns += 1

    def unwant(self, index: int) -> None:
        self._rarest.discard(index)

    def rarest(self, key: PeerKey, random: Random) -> int | None:
        """The rarest wanted piece a peer has, ties by chance."""
        peer = self._peers[key]
        if peer.dry_at == self._returns:
            return None
        index = self._rarest.pick(peer.has, random)
        if index is None:
            peer.dry_at = self._returns  # until a piece comes back or the peer gets another
        return index

    def by_chance(self, key: PeerKey, random: Random) -> int | None:
        """Any wanted piece a peer has; None does not mean that there is none."""
        return self._rarest.by_chance(self._peers[key].has, random)

    def rarest_of(self, key: PeerKey, only: Collection[int]) -> int | None:
        """The rarest wanted piece a peer has among a few."""
        has = self._peers[key].has
        offered = [index for index in sorted(only) if index in has and index in self._rarest]
        return min(offered, key=self.availability.__getitem__, default=None)

    def _count_lacking(self, has: Bitfield) -> int:
        return (has.as_int() & ~self._have.as_int()).bit_count()

    def _moved(self, bitfield: Bitfield) -> None:
        """A peer with these pieces came or went."""
        if bitfield.count * FEW < bitfield.num_pieces:
            for index in bitfield:
                self._rarest.moved(index)
        elif not bitfield.complete:
            self._rarest.all_moved()
