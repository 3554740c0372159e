"""How often one may ask: a token bucket for each address, /64 or user.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm); one that
is full is forgotten. Over MAX_BUCKETS that which was used longest ago goes, and its owner starts with a full
one: a flood from many addresses can lift limits, never exhaust memory or refuse others. Each worker of a
tracker counts by itself, so that N workers let up to N times as much pass.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from socket import AF_INET6, inet_ntoa, inet_pton

from bittwist.announce.values import AnnounceRequest, Event
from bittwist.errors import TrackerFailure
from bittwist.tracker.interfaces import AnnounceHook, Arrival

MAX_BUCKETS = 100_000  # about 250 bytes each
LEAVING = 16  # buckets of who leaves, by torrent: a client that ends leaves all of its torrents at once
_HOUSEHOLD = 64  # bits of an IPv6 address that one customer surely has all below (RFC 6177)
_MAPPED = bytes(10) + b"\xff\xff"  # in front of an IPv4 address


class Rate:
    """At most `per_minute` in the long run, and `burst` at once, for each key. Owns the buckets."""

    def __init__(self, per_minute: float, burst: int, *, most: int = MAX_BUCKETS) -> None:
        self._each = 60.0 / per_minute
        self._spare = self._each * (burst - 1)
        self._most = most
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float) -> float:
        """Take one: 0, or the seconds after which there will be one (and none is taken)."""
        buckets = self._full_at
        full_at = buckets.get(key, now)
        if full_at < now:
            full_at = now
        short = full_at - now - self._spare
        if short > 0:
            return short
        buckets[key] = full_at + self._each
        buckets.move_to_end(key)
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Two a call, so that full buckets go faster than others come."""
        for _ in range(2):
            key, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= self._most:
                return
            del self._full_at[key]
            if not self._full_at:
                return


class AddressLimits(AnnounceHook):
    """Refuses whoever asks too often from one address, or from one /64 of IPv6."""

    def __init__(self, now: Callable[[], float], announces: Rate | None, scrapes: Rate | None) -> None:
        self._now = now
        self._announces = announces
        self._scrapes = scrapes

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        if self._announces is not None:
            spend_announce(
                self._announces, household(arrival.host), self._now(), "announces from your address", request
            )

    def scraping(self, info_hashes: Sequence[bytes], arrival: Arrival) -> None:
        if self._scrapes is not None:
            spend(self._scrapes, household(arrival.host), self._now(), "scrapes from your address")


def spend(rate: Rate, key: Hashable, now: float, what: str) -> None:
    """TrackerFailure with the time to wait (BEP 31), where there is nothing left to spend."""
    wait = rate.take(key, now)
    if wait:
        raise TrackerFailure(f"too many {what}", wait)


def spend_announce(rate: Rate, key: Hashable, now: float, what: str, request: AnnounceRequest) -> None:
    """The same, for an announce. Who leaves would stay in the swarm if refused, and may do so more often."""
    if request.event is Event.STOPPED:
        key = "leaving", key, request.info_hash[0] % LEAVING
    spend(rate, key, now, what)


def household(host: str) -> str | bytes:
    """What addresses of one customer have in common: an IPv4 address, or the first half of an IPv6 one."""
    if ":" not in host:
        return host
    packed = inet_pton(AF_INET6, host.partition("%")[0])
    return inet_ntoa(packed[12:]) if packed.startswith(_MAPPED) else packed[: _HOUSEHOLD // 8]
