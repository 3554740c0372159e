"""Compact peer lists: addresses and ports, packed (BEP 23; BEP 7 for IPv6)."""

from __future__ import annotations

from collections.abc import Iterable

from bittwist.address import Address
from bittwist.errors import RemoteProtocolError


def pack(addresses: Iterable[Address]) -> tuple[bytes, bytes]:
    """The 6-byte entries of the IPv4 addresses and the 18-byte entries of the IPv6 ones, in order."""
    peers4, peers6 = bytearray(), bytearray()
    for address in addresses:
        (peers6 if address.is_ipv6 else peers4).extend(address.packed)
    return bytes(peers4), bytes(peers6)


def unpack(data: bytes, width: int) -> tuple[Address, ...]:
    """The addresses in entries of `width` 6 (IPv4) or 18 (IPv6) bytes.

    Nobody listens at port 0, so such entries are left out.
    Raises RemoteProtocolError where the length is not a multiple of the width.
    """
    if width not in (6, 18):
        raise ValueError(f"compact entries have 6 or 18 bytes, not {width}")
    if len(data) % width:
        raise RemoteProtocolError(f"a compact peer list of {len(data)} bytes is no multiple of {width}")
    entries = (data[at : at + width] for at in range(0, len(data), width))
    return tuple(Address.unpack(entry) for entry in entries if entry[-2:] != b"\0\0")
