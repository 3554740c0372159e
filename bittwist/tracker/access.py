"""Which address an announce is about: the one it came from (BEP 3, "ip"; BEP 7)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from bittwist.address import Address, fold
from bittwist.announce.values import AnnounceRequest
from bittwist.errors import TrackerFailure


def peer_address(
    host: str, request: AnnounceRequest, trusted: Sequence[IPv4Network | IPv6Network]
) -> Address:
    """The address others shall dial. `host` is where the request came from.

    Only hosts in the trusted networks may name another address: whoever else could would send
    a swarm against a stranger.
    """
    # A link-local peer carries the interface it came in by, which means nothing to others.
    seen = fold(host.partition("%")[0])
    if request.ip is None or request.ip == seen:
        return Address(seen, request.port)
    if not any(ip_address(seen) in network for network in trusted):
        return Address(seen, request.port)
    named = ip_address(request.ip)
    if named.is_unspecified or named.is_multicast:
        raise TrackerFailure(f"ip: {request.ip} is not a peer's address")
    return Address(request.ip, request.port)
