"""Which peers to prefer, so that all agree and none can be chosen for us (BEP 40)."""

from __future__ import annotations

from bittwist.address import Address


def peer_priority(one: Address, other: Address) -> int:
    """The priority of the connection between two peers of one family, 0 to 2^32 - 1: the higher, the better.

    ValueError where one is IPv4 and the other IPv6.
    """
    first, second = one.packed, other.packed
    if len(first) != len(second):
        raise ValueError("no priority between IPv4 and IPv6")
    hosts = first[:-2], second[:-2]
    if hosts[0] == hosts[1]:
        return crc32c(b"".join(sorted((first[-2:], second[-2:]))))
    return crc32c(b"".join(sorted((_masked(*hosts), _masked(hosts[1], hosts[0])))))


def _masked(host: bytes, other: bytes) -> bytes:
    """The host, without what a single owner of a network could choose."""
    open_, most = (2, 4) if len(host) == 4 else (6, 16)
    # Each byte more that both begin with opens one more of the mask; the next one is always half open.
    while open_ < most and host[:open_] == other[:open_]:
        open_ += 1
    return host[:open_] + bytes(byte & 0x55 for byte in host[open_:])


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC of some bytes (RFC 3720, B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = tuple(_entry(value) for value in range(256))
