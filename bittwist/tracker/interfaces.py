"""What a stranger may bring to a tracker: its store, and a say in who may announce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface, implementer

from bittwist.announce.values import AnnounceRequest, ScrapeEntry, quick


class Front(Enum):
    """The way a request came in by; the value is its name in statistics."""

    HTTP = "http"
    UDP = "udp"
    WEBSOCKET = "ws"


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a request came in: by which front, from which host, with which credentials.

    `host` is who asks, as the transport or a trusted proxy says. `passkey` is the part of the path that is
    not "announce" or "scrape"; `token` is the parameter `jwt`. Over UDP both come by BEP 41. `connection` is
    what a browser's place in a swarm lives with: who comes by one is kept in no store (tracker.browsers).
    """

    front: Front
    host: str
    passkey: str | None = None
    token: bytes | None = None
    connection: object | None = None


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


@dataclass(frozen=True, slots=True)
class Reply:
    """What a front tells the peer; intervals are seconds."""

    swarm: SwarmAnswer
    interval: int
    min_interval: int
    external_ip: str | None = None
    warning: str | None = None
    tracker_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a store holds: swarms, and their peers as seeds and leeches."""

    torrents: int = 0
    seeds: int = 0
    leeches: int = 0


NO_CREDENTIALS = "a scrape over UDP carries none; ask over HTTP"  # BEP 41's options are an announce's


# For who makes one with every announce.
new_arrival = quick(Arrival)
new_answer = quick(SwarmAnswer)
new_reply = quick(Reply)


class ISwarmStore(Interface):
    """Who is in which swarm. Each method answers at once, or with a Deferred.

    A peer is (info hash, address, port); peer id and key are not identity. Clock and random are given to
    the constructor. A store that also provides IService is started and stopped with its tracker.
    `bittwist.testing.stores` holds the tests that every store passes.
    """

    def announce(request: AnnounceRequest) -> SwarmAnswer | Deferred[SwarmAnswer]:
        """Note the peer, or its leaving, and choose at most `request.numwant` others for it.

        `request.address` and `request.numwant` are set. The choice is random and without bias; never the
        asker, and no seeds for a seed. Raises (or fails with) TrackerFailure where it must refuse.
        """

    def scrape(info_hashes: Sequence[bytes]) -> dict[bytes, ScrapeEntry] | Deferred[dict[bytes, ScrapeEntry]]:
        """The size of each of these swarms; zeros where it knows none."""

    def totals() -> Totals | Deferred[Totals]:
        """How much the store holds, roughly where exactness would cost."""

    def largest(count: int) -> list[tuple[bytes, ScrapeEntry]] | Deferred[list[tuple[bytes, ScrapeEntry]]]:
        """At most `count` swarms, those with the most peers first."""

    def forget(info_hash: bytes) -> Deferred[None] | None:
        """Drop this swarm and all its peers."""


class IRuledStore(Interface):
    """A store that goes by the tracker's settings, and gets new ones when the tracker does."""

    settings = Attribute("The TrackerSettings.")


class IAnnounceHook(Interface):
    """Asked about every announce and scrape before the store, and told of every announce after it.

    A hybrid that is one swarm comes by the hash that this is kept under, whichever was said; whoever made
    the tracker can ask `tracker.hybrids.names` for both.
    """

    def announcing(request: AnnounceRequest, arrival: Arrival) -> Deferred[None] | None:
        """Return to let it pass; raise (or fail with) TrackerFailure: the peer's user reads its reason."""

    def announced(request: AnnounceRequest, arrival: Arrival, answer: SwarmAnswer) -> str | None:
        """The announce was answered. A text that is returned goes to the peer as a warning. Never raises."""

    def scraping(info_hashes: Sequence[bytes], arrival: Arrival) -> Deferred[None] | None:
        """As `announcing`, for a scrape."""


@implementer(IAnnounceHook)
class AnnounceHook:
    """Lets everything pass: to inherit from, and override what matters."""

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> Deferred[None] | None:
        return None

    def announced(self, request: AnnounceRequest, arrival: Arrival, answer: SwarmAnswer) -> str | None:
        return None

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> Deferred[None] | None:
        return None
