"""One swarm as the memory store holds it, and parts of it as they are copied."""

from __future__ import annotations

from dataclasses import dataclass

from bittwist.announce.values import ScrapeEntry
from bittwist.tracker.peers import PackedPeers, PeerColumns

SECOND = 1_000_000  # stamps in a second


class Swarm:
    """One info hash: its IPv4 peers, its IPv6 peers, and how often it was downloaded."""

    __slots__ = ("downloaded", "four", "info_hash", "number", "six")

    def __init__(self, info_hash: bytes, number: int) -> None:
        self.info_hash = info_hash
        self.number = number  # four bytes for what 20 would say: who holds what is packed
        self.four = PackedPeers(6)
        self.six: PackedPeers | None = None  # most swarms have none
        self.downloaded = 0

    def family(self, packed: bytes) -> PackedPeers:
        """The peers of the address family of this packed address, or host."""
        if len(packed) <= 6:
            return self.four
        if self.six is None:
            self.six = PackedPeers(18)
        return self.six

    @property
    def families(self) -> tuple[PackedPeers, ...]:
        return (self.four,) if self.six is None else (self.four, self.six)

    @property
    def size(self) -> int:
        return len(self.four) if self.six is None else len(self.four) + len(self.six)

    @property
    def complete(self) -> int:
        return self.four.seeds if self.six is None else self.four.seeds + self.six.seeds

    @property
    def entry(self) -> ScrapeEntry:
        leeches = sum(peers.leeches for peers in self.families)
        return ScrapeEntry(self.complete, self.downloaded, self.size - self.complete, leeches)


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of the peers of a swarm, as a snapshot keeps them; stamps are on the clock of the store."""

    info_hash: bytes
    downloaded: int
    peers: PeerColumns
