"""What is said in an announce and in a scrape, whatever carries it (BEP 3, 48)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bittwist.address import Address

DEFAULT_INTERVAL = 1800  # seconds between announces; what most trackers ask for


class Event(Enum):
    """Why a peer announces (BEP 3); the value is the word in the query."""

    NONE = ""
    STARTED = "started"
    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"  # a partial seed: it has all it wants, and not all there is (BEP 21)


@dataclass(frozen=True, slots=True)
class AnnounceRequest:
    """A peer tells a tracker about itself and asks for others.

    `info_hash` and `peer_id` are 20 bytes; `uploaded`, `downloaded` and `left` are bytes of the torrent.
    `numwant` is None where the tracker shall choose. `ip` is what the peer says its address is; `address`
    is what the tracker takes it to be, filled in by the tracker's front and never sent.
    """

    info_hash: bytes
    peer_id: bytes
    port: int
    uploaded: int = 0
    downloaded: int = 0
    left: int = 0
    event: Event = Event.NONE
    numwant: int | None = None
    key: bytes | None = None
    compact: bool = True
    no_peer_id: bool = False
    ip: str | None = None
    tracker_id: bytes | None = None
    address: Address | None = None

    @property
    def is_seed(self) -> bool:
        return self.left == 0


@dataclass(frozen=True, slots=True)
class AnnounceResponse:
    """A tracker's answer: when to come back (seconds), how large the swarm is, and some of its peers.

    `peer_ids` is empty, or as long as `peers`, with b"" where an id is not known. `interval` is as the
    tracker said it, however odd: whoever schedules announces bounds it.
    """

    interval: int = DEFAULT_INTERVAL
    min_interval: int | None = None
    complete: int | None = None
    incomplete: int | None = None
    downloaded: int | None = None
    peers: tuple[Address, ...] = ()
    peer_ids: tuple[bytes, ...] = ()
    warning: str | None = None
    tracker_id: bytes | None = None
    external_ip: str | None = None


@dataclass(frozen=True, slots=True)
class ScrapeEntry:
    """The size of one swarm (BEP 48): seeds, downloads ever completed, leeches.

    `downloaders` are the leeches that are no partial seeds (BEP 21); None where nobody counts them apart.
    """

    complete: int = 0
    downloaded: int = 0
    incomplete: int = 0
    downloaders: int | None = None
