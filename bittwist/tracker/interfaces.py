"""What a stranger may bring to a tracker: its store, and a say in who may announce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from zope.interface import Interface

from bittwist.announce.values import AnnounceRequest, ScrapeEntry


@dataclass(frozen=True, slots=True)
class SwarmAnswer:
    """A swarm's size, and some of its peers in the compact form: 6 and 18 bytes each (BEP 23, 7).

    `peer_ids` holds 20 bytes for each of `peers4`, then of `peers6`; empty unless the request wants ids.
    """

    complete: int = 0
    incomplete: int = 0
    downloaded: int = 0
    peers4: bytes = b""
    peers6: bytes = b""
    peer_ids: bytes = b""

    def ids(self) -> tuple[bytes, ...]:
        return tuple(self.peer_ids[start : start + 20] for start in range(0, len(self.peer_ids), 20))


class ISwarmStore(Interface):
    """Who is in which swarm. It answers at once, or with a Deferred.

    A peer is (info hash, address, port); peer id and key are not identity. Clock and random are given to
    the constructor.
    """

    def announce(request: AnnounceRequest) -> SwarmAnswer | Deferred[SwarmAnswer]:
        """Note the peer, or its leaving, and choose at most `request.numwant` others for it.

        `request.address` and `request.numwant` are set. The choice is random and without bias; never the
        asker, and no seeds for a seed. Raises (or fails with) TrackerFailure where it must refuse.
        """

    def scrape(info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        """The size of each of these swarms; zeros where it knows none."""


class IAnnounceHook(Interface):
    """Asked about every announce, before the store."""

    def announcing(request: AnnounceRequest) -> Deferred[None] | None:
        """Return to let it pass; raise (or fail with) TrackerFailure: the peer's user reads its reason."""
