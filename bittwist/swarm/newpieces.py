"""Which new piece is begun for a peer (BEP 3, "rarest first").

The next one of its row, if it gives pieces in rows (BEP 19); one it has suggested (BEP 6), if none is wanted
more; until `random_first` are there any, by chance; then of the most wanted the rarest (in order: the first).
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from bittwist.metainfo.bitfield import Bitfield
from bittwist.swarm.holdings import Holdings
from bittwist.swarm.rows import Rows
from bittwist.swarm.suggestions import Suggested

PeerKey = int


class NewPieces:
    """Owns what peers suggest, and the rows that they give pieces in."""

    def __init__(self, have: Bitfield, holdings: Holdings, random: Random, random_first: int) -> None:
        """`have` and `holdings` are the picker's, and change."""
        self._have = have
        self._holdings = holdings
        self._random = random
        self._random_first = random_first
        self._rows = Rows(have.num_pieces)
        self._suggested = Suggested()

    def in_rows(self, key: PeerKey) -> None:
        """A new piece for this peer is the one behind its last, where that is wanted."""
        self._rows.join(key)

    def suggested(self, key: PeerKey, index: int) -> None:
        self._suggested.add(key, index)

    def began(self, key: PeerKey, index: int) -> None:
        """The piece was begun for it."""
        self._rows.began(key, index)

    def left(self, key: PeerKey) -> None:
        """A peer is gone."""
        self._rows.left(key)
        self._suggested.left(key)

    def next(self, key: PeerKey, only: Collection[int] | None) -> int | None:
        """The piece to begin for a peer that is here, of these if there is a choice; None if it has none."""
        holdings = self._holdings
        if only is not None:
            return holdings.best_of(key, only)
        index = self._rows.following(key, lambda index: self._is_next_best(key, index))
        if index is None and not holdings.sequential:
            index = self._suggested.next(key, lambda index: self._is_next_best(key, index))
        if index is not None:
            return index
        if self._have.count < self._random_first:
            index = holdings.by_chance(key, self._random)
        if index is None:
            index = holdings.next(key, self._random)
        if index is None:
            return None
        return self._rows.beginning(key, index, lambda index: self._is_next_best(key, index))

    def _is_next_best(self, key: PeerKey, index: int) -> bool:
        return index in self._holdings.of(key) and self._holdings.is_top(index)
