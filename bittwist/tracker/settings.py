"""What can be chosen about a tracker, with its bounds and their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from bittwist.announce.values import DEFAULT_INTERVAL
from bittwist.tracker.fields import HEXADECIMAL

SHORTEST_INTERVAL = 10  # seconds; below it a few hundred peers are a flood
MIN_INTERVAL = 300  # seconds that a peer should wait at least, unless told otherwise
LONGEST_INTERVAL = 86_400  # a day: clients do not wait longer
MOST_PEERS = 1000  # in a reply: more helps nobody and makes the tracker an amplifier
NUMWANT = 50  # peers for who names no number, as clients expect
MISSED_ANNOUNCES = 2  # a peer that missed so many has left
GRACE = 60  # seconds on top of them, for slow connections
LONGEST_TERM = MISSED_ANNOUNCES * 2 * LONGEST_INTERVAL + GRACE  # after which a peer can count as gone


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """A tracker's settings. ValueError(key, reason) where one cannot be used.

    `interval` and `min_interval` are seconds between a peer's announces; where the latter is not given, 300,
    or the interval if that is less. A leech that could be told of nobody is asked back after
    `lonely_interval`, if that is less: whoever it waits for may come any moment.
    `numwant` peers are given to who names no number, `max_numwant` to who names a bigger one. A scrape is
    answered for its first `max_scrape` hashes. One address (of IPv6 a /64) may be `peers_per_address` peers
    of a torrent, and in `torrents_per_address` torrents; then its own oldest goes. A tracker that holds
    `max_torrents` swarms or `max_peers` peers has room for a new one only where an address holds 64 or more.
    An announce's own `ip` is believed where it comes from a network of `trust_ip_from`, a private one
    only if it comes from a private address or `private_ips` allows it. With `external_ip` a
    peer is told its address (BEP 24). `jitter` is the share of the interval that is added by chance.
    `warning` and `tracker_id` go with every reply, unless empty. `hybrids` are pairs "V1:V2" of info hashes
    (hexadecimal; the v2 one whole or truncated) whose peers are one swarm. With `seeds_meet_seeds` seeds
    are told of seeds too: aria2 says left=0 while it knows no metadata.
    """

    interval: int = DEFAULT_INTERVAL
    min_interval: int | None = None
    lonely_interval: int = 60
    numwant: int = NUMWANT
    max_numwant: int = (
        74  # 74 peers fill a UDP reply that no network splits (BEP 15): one rule for both forms
    )
    max_scrape: int = 74  # what one UDP datagram asks about (BEP 15): one rule for both forms
    peers_per_address: int = 64  # a large household, or a small office, behind one address
    torrents_per_address: int = 20_000  # a big seedbox has fewer
    max_torrents: int = 500_000  # with max_peers it bounds memory: about 1 KiB a swarm
    max_peers: int = 2_000_000  # about 160 bytes each
    trust_ip_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    private_ips: bool = False
    external_ip: bool = True
    jitter: float = 0.1
    warning: str = ""
    tracker_id: str = ""
    hybrids: tuple[str, ...] = ()
    seeds_meet_seeds: bool = False

    def __post_init__(self) -> None:
        bounds = {
            "interval": (SHORTEST_INTERVAL, LONGEST_INTERVAL),
            "lonely_interval": (1, LONGEST_INTERVAL),
            "max_numwant": (0, MOST_PEERS),
            "max_scrape": (1, 1000),
            "peers_per_address": (1, 65_535),
            "torrents_per_address": (1, 100_000_000),
            "max_torrents": (1, 100_000_000),
            "max_peers": (1, 1_000_000_000),
        }
        for key, (least, most) in bounds.items():
            if not least <= getattr(self, key) <= most:
                raise ValueError(key, f"must be {least} to {most}")
        if not 0 <= self.numwant <= self.max_numwant:
            if self.numwant == NUMWANT:  # which nobody has chosen
                raise ValueError("max_numwant", f"must be {NUMWANT}, which numwant is, or more")
            raise ValueError("numwant", f"must be 0 to {self.max_numwant}, which max_numwant is")
        if not 1 <= self.least_interval <= self.interval:
            raise ValueError("min_interval", f"must be 1 to {self.interval}, which interval is")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter", "must be 0 to 1")
        for key, read in (("trust_ip_from", self.trusted_networks), ("hybrids", self.one_swarm)):
            try:
                read()
            except ValueError as error:
                raise ValueError(key, str(error)) from error

    @property
    def least_interval(self) -> int:
        """Seconds that a peer should wait at least."""
        return min(MIN_INTERVAL, self.interval) if self.min_interval is None else self.min_interval

    @property
    def expire_after(self) -> float:
        """Seconds after its last announce at which a peer counts as gone that was told these intervals."""
        return MISSED_ANNOUNCES * self.longest_interval + GRACE

    @property
    def longest_interval(self) -> int:
        """Seconds that a peer is told at most, with what chance adds."""
        return self.interval + int(self.jitter * self.interval)

    def trusted_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.trust_ip_from)

    def one_swarm(self) -> dict[bytes, bytes]:
        """For each v2 hash of `hybrids`, truncated, the v1 hash that its swarm is kept under."""
        found: dict[bytes, bytes] = {}
        for pair in self.hybrids:
            v1, colon, v2 = pair.partition(":")
            digits = set(v1 + v2) <= HEXADECIMAL
            if not colon or not digits or len(v1) != 40 or len(v2) not in (40, 64):
                raise ValueError(f"{pair!r} is not V1:V2, of 40 and 64 (or 40) hexadecimal digits")
            found[bytes.fromhex(v2)[:20]] = bytes.fromhex(v1)
        return found
