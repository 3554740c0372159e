"""Pieces that one peer suggests to another, since they are at hand (BEP 6, "Suggest Piece")."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bittwist.metainfo.bitfield import Bitfield

PeerKey = int

MAX_SUGGESTED = 16  # pieces, of one peer, followed at a time; the newest count (what libtorrent keeps)


class Suggested:
    """What peers suggest to us."""

    def __init__(self) -> None:
        self._pieces: dict[PeerKey, dict[int, None]] = {}

    def add(self, key: PeerKey, index: int) -> None:
        pieces = self._pieces.setdefault(key, {})
        pieces.pop(index, None)
        pieces[index] = None
        if len(pieces) > MAX_SUGGESTED:
            del pieces[next(iter(pieces))]

    def left(self, key: PeerKey) -> None:
        self._pieces.pop(key, None)

    def next(self, key: PeerKey, free: Callable[[int], bool]) -> int | None:
        """A suggested piece that may be begun now for the peer, the newest first."""
        pieces = self._pieces.get(key)
        if not pieces:
            return None
        for index in reversed(tuple(pieces)):
            if free(index):
                return index
        return None


class Suggesting:
    """The pieces that were read last, or came last, and who was told so."""

    def __init__(self) -> None:
        self._recent: dict[int, None] = {}  # the oldest first
        self._told: dict[PeerKey, set[int]] = {}

    def at_hand(self, index: int) -> None:
        """A piece was read from disk, or is new."""
        self._recent.pop(index, None)
        self._recent[index] = None
        if len(self._recent) > MAX_SUGGESTED:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            for told in self._told.values():
                told.discard(oldest)

    def left(self, key: PeerKey) -> None:
        self._told.pop(key, None)

    def next(self, key: PeerKey, has: Bitfield, owed: Collection[int]) -> int | None:
        """What to suggest to a peer that has these pieces and has asked for those; nothing twice."""
        told = self._told.setdefault(key, set())
        for index in reversed(tuple(self._recent)):
            if index not in has and index not in told and index not in owed:
                told.add(index)
                return index
        return None
