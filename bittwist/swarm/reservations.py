"""Pieces that only one peer may be asked for, so that it is known whom they are from."""

from __future__ import annotations

from collections.abc import Iterator

PeerKey = int

RESERVED_FOR = 10.0  # seconds that peers with nothing else to do leave a reserved piece alone


class Reservations:
    """Who each reserved piece is for; owned by the picker."""

    def __init__(self) -> None:
        self._keys: dict[int, PeerKey] = {}  # by piece
        self._idle_since: dict[int, float] = {}  # when a peer with nothing else to do came upon the piece

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __iter__(self) -> Iterator[int]:
        """The reserved pieces."""
        return iter(self._keys)

    def __contains__(self, index: int) -> bool:
        return index in self._keys

    def add(self, index: int, key: PeerKey) -> None:
        self._keys[index] = key

    def discard(self, index: int) -> None:
        self._keys.pop(index, None)
        self._idle_since.pop(index, None)

    def bars(self, index: int, key: PeerKey) -> bool:
        """Whether the piece is reserved, and for another."""
        return self._keys.get(index, key) != key

    def of(self, key: PeerKey) -> Iterator[int]:
        """The pieces reserved for a peer."""
        return (index for index, owner in tuple(self._keys.items()) if owner == key)

    def overstayed(self, key: PeerKey, now: float) -> Iterator[int]:
        """The pieces reserved for others that have kept idle peers waiting; `key` is idle now."""
        for index, owner in tuple(self._keys.items()):
            if owner != key and now - self._idle_since.setdefault(index, now) >= RESERVED_FOR:
                yield index
