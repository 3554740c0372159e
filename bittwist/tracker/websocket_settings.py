"""What can be chosen about a tracker's WebSocket front, with its bounds and their reasons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from bittwist.net.forwarded import HEADERS, X_FORWARDED_FOR
from bittwist.net.site import LONGEST, UNIX
from bittwist.tracker.browsers import MAX_MEMBERS

SLOWEST, FASTEST = 0.01, 1e6  # messages a second: fewer, or more, is a slip of the finger
LEAST_MESSAGE = 1 << 10  # bytes; an announce without offers has some 250

# What a browser sends of itself (RFC 6454): no user, no path, no / at the end.
ORIGIN = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?|null|file://"
)
UNSAID = re.compile(r"http:.*:80|https:.*:443", re.IGNORECASE)  # the port that goes without saying


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """How a tracker serves browsers. ValueError(key, reason) where a setting cannot be used.

    `interval` is seconds between a browser's announces, if that is less than the tracker's own. Of an
    announce's offers the first `max_offers` are handed on. A connection is in at most
    `swarms_per_connection` swarms, and all together are `max_peers` peers; then one of an address that has
    many gives way. A connection that says more than `messages_per_second`, after a burst of
    `message_burst`, is read more slowly. `max_message` is bytes. A browser has `handshake_deadline` seconds
    to open a WebSocket; every `ping_interval` seconds it is pinged, and it is gone when it does not reply
    within `ping_timeout`. With `allowed_origins` (as "https://example.org") pages of other origins are
    refused; what is no browser sends no origin, and is served. `trusted_proxies` and `proxy_header` are as
    for HTTP.
    """

    interval: int = 120
    max_offers: int = 10  # webtorrent makes 5; each is some 2 KiB
    swarms_per_connection: int = 500  # about 0.5 KiB each
    messages_per_second: float = 20.0
    message_burst: int = 200  # a client that starts with many torrents announces them all at once
    max_message: int = 64 << 10  # ten offers, of twenty candidates each, have 40 KiB
    max_peers: int = MAX_MEMBERS
    connections_per_address: int = 128  # hundreds of people share one address behind a carrier's NAT
    max_connections: int = 10_000  # about 12 KiB each, and a message while it comes in
    handshake_deadline: float = 10.0
    ping_interval: float = 30.0  # reverse proxies close what is silent for a minute
    ping_timeout: float = 30.0
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    proxy_header: str = X_FORWARDED_FOR

    def __post_init__(self) -> None:
        for key in ("handshake_deadline", "ping_interval", "ping_timeout"):
            if not 0 < getattr(self, key) <= LONGEST:
                raise ValueError(key, f"must be more than 0, and at most {LONGEST:.0f}")
        if not SLOWEST <= self.messages_per_second <= FASTEST:
            raise ValueError("messages_per_second", f"must be {SLOWEST:g} to {FASTEST:.0f}")
        for key in (
            "interval",
            "swarms_per_connection",
            "message_burst",
            "connections_per_address",
            "max_connections",
            "max_peers",
        ):
            if not getattr(self, key) > 0:
                raise ValueError(key, "must be more than 0")
        if self.max_offers < 0:
            raise ValueError("max_offers", "must be 0 or more")
        if self.max_message < LEAST_MESSAGE:
            raise ValueError("max_message", f"must be {LEAST_MESSAGE} or more")
        if self.proxy_header not in HEADERS:
            raise ValueError("proxy_header", f"must be {' or '.join(HEADERS)}")
        for origin in self.allowed_origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError("allowed_origins", f"{origin!r} is not SCHEME://HOST[:PORT], without a path")
            if UNSAID.fullmatch(origin):
                raise ValueError("allowed_origins", f"{origin!r} has a port that browsers do not say")
        try:
            self.proxy_networks()
        except ValueError as error:
            raise ValueError("trusted_proxies", str(error)) from error

    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(text) for text in self.trusted_proxies if text != UNIX)
