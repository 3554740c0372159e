"""Which address an announce is about: the one it came from (BEP 3, "ip"; BEP 7); and on which port."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from bittwist.address import Address, fold
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure
from bittwist.tracker.interfaces import AnnounceHook, Arrival

FIRST_USER_PORT = 1024  # below it services listen that only root may start

# Not ipaddress.is_private: that counts documentation and the future's addresses in, and differs by version.
_PRIVATE = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",  # a carrier's NAT (RFC 6598)
            "169.254.0.0/16",
            "127.0.0.0/8",
            "fc00::/7",
            "fe80::/10",
            "::1/128",
        ),
    )
)
_NOBODY = tuple(map(ip_network, ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4")))  # the last with broadcast
_GLOBAL6 = IPv6Network("2000::/3")


def peer_address(
    host: str,
    request: AnnounceRequest,
    trusted: Sequence[IPv4Network | IPv6Network],
    *,
    private: bool = False,
) -> Address:
    """The address others shall dial. `host` is where the request came from.

    Only hosts in the trusted networks may name another address: whoever else could would send
    a swarm against a stranger. A private one may be named from a private one or, if `private`, by all these:
    others could not reach it, or would reach something of their own.
    """
    # A link-local peer carries the interface it came in by, which means nothing to others.
    host = host.partition("%")[0]
    if request.ip is None:
        return Address(host, request.port)
    seen = fold(host)
    asker = ip_address(seen)
    if request.ip == seen or not any(asker in network for network in trusted):
        return Address(seen, request.port)
    named = ip_address(request.ip)
    if _is_nobodys(named):
        raise TrackerFailure(f"ip: {request.ip} is not a peer's address")
    if not private and _is_private(named) and not _is_private(asker):
        raise TrackerFailure(f"ip: {request.ip} is a private address")
    return Address(request.ip, request.port)


class UserPorts(AnnounceHook):
    """Refuses peers on ports below 1024: no client listens there, but what a swarm can be sent against does.

    Browsers have no port.
    """

    def announcing(self, request: AnnounceRequest, arrival: Arrival) -> None:
        if request.port < FIRST_USER_PORT and arrival.connection is None:
            raise TrackerFailure(f"port: {request.port} is below {FIRST_USER_PORT}, which is refused here")


def _is_nobodys(address: IPv4Address | IPv6Address) -> bool:
    """Unspecified, multicast, broadcast or reserved."""
    if address.version == 6 and not _is_private(address):
        return address not in _GLOBAL6
    return any(address in network for network in _NOBODY)


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _PRIVATE)
