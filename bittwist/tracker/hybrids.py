"""Which info hashes are one torrent, and one swarm: the two of a hybrid (BEP 52), v2 truncated.

Hybrids are declared in a tracker's settings, or registered with both hashes (tracker.registry).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bittwist.tracker.torrents import Torrent


class Registered(Protocol):
    """The torrents that are registered; tracker.registry has them."""

    def get(self, info_hash: bytes) -> Torrent | None: ...

    def swarm_of(self, info_hash: bytes) -> bytes: ...


class Hybrids:
    """The hybrids of a tracker; those of its settings go before those that are `registered`.

    The tracker tells the hooks of each torrent by the hash that its swarm is kept under; a rule that names
    a torrent asks for its `names`, so that it counts whichever hash it was written with.
    """

    def __init__(self, registered: Registered | None = None) -> None:
        self._registered = registered
        self.declare({})

    def declare(self, v1_of: Mapping[bytes, bytes]) -> None:
        """From now on these are the hybrids of the settings: for each truncated v2 hash the v1 hash."""
        self._v1_of = v1_of
        self._others: dict[bytes, tuple[bytes, ...]] = {}
        for v2, v1 in v1_of.items():
            self._others[v1] = (*self._others.get(v1, ()), v2)

    @property
    def any(self) -> bool:
        """Whether any torrent may go by two hashes."""
        return bool(self._v1_of) or self._registered is not None

    def swarm(self, info_hash: bytes) -> bytes:
        """The hash that the peers of this one are kept under: its own, but for the v2 hash of a hybrid."""
        found = self._v1_of.get(info_hash)
        if found is None:
            return info_hash if self._registered is None else self._registered.swarm_of(info_hash)
        return found

    def names(self, info_hash: bytes) -> tuple[bytes, ...]:
        """Every hash of this torrent, that of its swarm first."""
        swarm = self.swarm(info_hash)
        torrent = None if self._registered is None else self._registered.get(swarm)
        hashes = () if torrent is None else torrent.hashes
        return tuple(dict.fromkeys((swarm, *self._others.get(swarm, ()), *hashes)))
