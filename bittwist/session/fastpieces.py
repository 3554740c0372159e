"""What choked peers of one torrent may fetch all the same, and how long they may ask for more (BEP 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bittwist.errors import BitTwistError, RemoteProtocolError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.swarm.allowedfast import NEWCOMER, AllowedFast, Refusals
from bittwist.wire.fast import allowed_fast_set


class Newcomer(Protocol):
    """A peer as far as this goes."""

    @property
    def key(self) -> int: ...
    @property
    def host(self) -> str: ...
    @property
    def fast(self) -> bool: ...
    @property
    def has(self) -> Bitfield | None: ...
    def allow_fast(self, indices: Sequence[int]) -> None: ...
    def close(self, reason: BitTwistError) -> None: ...


class FastPieces:
    """Owns what each peer was allowed, and how often it was refused."""

    def __init__(
        self,
        info_hash: bytes,
        geometry: Geometry,
        have: Bitfield,
        count: Callable[[], int],
    ) -> None:
        """`count` pieces, of those that we have, are allowed to each newcomer."""
        self._info_hash = info_hash
        self._geometry = geometry
        self._have = have
        self._count = count
        self._allowed: dict[int, AllowedFast] = {}
        self._refusals: dict[int, Refusals] = {}

    def offer(self, peer: Newcomer) -> None:
        """A choked peer wants something: allow it some pieces, once, if it has next to nothing to trade."""
        count = self._count()
        if not count or not peer.fast or peer.key in self._allowed or not _is_newcomer(peer):
            return
        likely = allowed_fast_set(peer.host, self._info_hash, self._geometry.num_pieces, count)
        has = peer.has
        pieces = [index for index in likely if index in self._have and (has is None or index not in has)]
        self._allowed[peer.key] = AllowedFast({index: self._geometry.piece_size(index) for index in pieces})
        peer.allow_fast(pieces)

    def take(self, peer: Newcomer, index: int, length: int, now: float) -> bool:
        """Whether a choked peer gets what it asks for. One that goes on asking for nothing is dropped."""
        allowed = self._allowed.get(peer.key)
        if allowed is not None and index in allowed.pieces:
            return _is_newcomer(peer) and allowed.take(index, length)
        if self._of(peer).refused(now):
            peer.close(RemoteProtocolError("it goes on asking though it is choked"))
        return False

    def choked(self, peer: Newcomer, now: float) -> None:
        self._of(peer).choked(now)

    def unchoked(self, peer: Newcomer) -> None:
        self._of(peer).served()

    def left(self, peer: Newcomer) -> None:
        self._allowed.pop(peer.key, None)
        self._refusals.pop(peer.key, None)

    def _of(self, peer: Newcomer) -> Refusals:
        return self._refusals.setdefault(peer.key, Refusals())


def _is_newcomer(peer: Newcomer) -> bool:
    return peer.has is None or peer.has.count < NEWCOMER
