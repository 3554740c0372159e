"""Superseeding on the wire: each peer is told of the pieces that `swarm.superseed` reveals to it (BEP 16)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.swarm.superseed import Reveal, Superseed
from bittwist.wire.runs import BlockData

GRAIN = 1 << 10  # bytes of a piece that count as given together, or not: a bit for each is kept


class Audience(Protocol):
    """A peer that is told of pieces: a conversation."""

    knows: Collection[int] | None  # the pieces it was told of; None: all that we have

    @property
    def key(self) -> int: ...
    @property
    def has(self) -> Bitfield | None: ...
    def tell(self, indices: Sequence[int]) -> None:
        """Send a Have for each."""
        ...


class Superseeding:
    """There is one while a seed pretends to have nothing. Owns the policy."""

    def __init__(
        self,
        policy: Superseed,
        have: Bitfield,
        geometry: Geometry,
        peers: Callable[[], Iterable[Audience]],
        aware: Iterable[Audience],
        now: float,
    ) -> None:
        """`have` are all the pieces there are; the `aware` among the peers know that we have them."""
        self._policy = policy
        self._have = have
        self._geometry = geometry
        self._peers = peers
        self._met: set[int] = set()
        self._given: dict[tuple[int, int], int] = {}  # grains, by peer and piece, of those not given whole
        for peer in aware:
            if peer.has is not None:
                self._met.add(peer.key)
                policy.joined(peer.key, peer.has, now, free=True)

    @property
    def over(self) -> bool:
        """Nobody has to be deceived any more."""
        return self._policy.over

    def meets(self, peer: Audience) -> None:
        """It has shaken hands. It is told of a piece when there was time to hear what it has (`tick`)."""
        peer.knows = ()

    def has_changed(self, peer: Audience, index: int | None, now: float) -> None:
        """A peer has one piece more, or said anew what it has."""
        met = peer.key in self._met
        if peer.has is None or not (met or peer.has.complete):
            return
        self._met.add(peer.key)
        if index is None or not met:
            self._tell(self._policy.joined(peer.key, peer.has, now))
        else:
            self._tell(self._policy.peer_have(peer.key, index, now))

    def gave(self, peer: Audience, blocks: Iterable[BlockData], now: float) -> None:
        """A peer was given blocks: some never say that they have what they were told of themselves."""
        for index, begin, block in blocks:
            size = self._geometry.piece_size(index)
            whole = _grains(0, size, size)
            given = self._given.pop((peer.key, index), 0) | _grains(begin, begin + len(block), size)
            if given != whole:
                self._given[peer.key, index] = given
            elif peer.key in self._met:
                self._tell(self._policy.peer_have(peer.key, index, now))

    def left(self, peer: Audience, now: float) -> None:
        self._met.discard(peer.key)
        for entry in [entry for entry in self._given if entry[0] == peer.key]:
            del self._given[entry]
        self._tell(self._policy.left(peer.key, now))

    def tick(self, now: float) -> None:
        """Once a second."""
        for peer in self._peers():
            if peer.key not in self._met and peer.has is not None:
                self._met.add(peer.key)
                self._tell(self._policy.joined(peer.key, peer.has, now))
        self._tell(self._policy.tick(now))

    def end(self) -> None:
        """Tell everyone everything."""
        self._tell([(peer.key, None) for peer in self._peers() if peer.knows is not None])

    def _tell(self, reveals: Iterable[Reveal]) -> None:
        if not reveals:
            return
        peers = {peer.key: peer for peer in self._peers()}
        for key, index in reveals:
            peer = peers.get(key)
            if peer is None:
                continue
            if index is None:
                self._tell_all(peer)
            else:
                peer.knows = self._policy.knows(key)
                peer.tell([index])

    def _tell_all(self, peer: Audience) -> None:
        known, peer.knows = peer.knows, None
        if known is not None:
            has = peer.has
            lacks = self._have if has is None else (index for index in self._have if index not in has)
            peer.tell([index for index in lacks if index not in known])


def _grains(begin: int, end: int, size: int) -> int:
    """A bit for each grain of a piece of `size` bytes all of which is between the two."""
    first, after = -(-begin // GRAIN), -(-size // GRAIN) if end >= size else end // GRAIN
    return (1 << after) - (1 << first) if first < after else 0
