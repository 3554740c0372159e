"""The one peer address type: an IP address and a TCP or UDP port."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address, ip_address
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # the C library's reading of addresses: no I/O


@dataclass(frozen=True, order=True)
class Address:
    """An IP address in its shortest text form, and a port (0 to 65535).

    IPv4 addresses mapped into IPv6 are folded to IPv4. Raises ValueError for anything that is
    not an IP address (names are looked up before they become addresses).
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is not in 0 to 65535")
        object.__setattr__(self, "host", fold(self.host))

    @cached_property
    def packed(self) -> bytes:
        """The compact form: 4 or 16 bytes of address, 2 of port, big-endian (BEP 23, BEP 7)."""
        return pack_host(self.host) + self.port.to_bytes(2, "big")

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    @classmethod
    def unpack(cls, packed: bytes) -> Address:
        """The reverse of `packed`, for 6 or 18 bytes."""
        if len(packed) not in (6, 18):
            raise ValueError(f"a compact address has 6 or 18 bytes, not {len(packed)}")
        host = inet_ntop(AF_INET, packed[:4]) if len(packed) == 6 else str(ip_address(packed[:16]))
        return cls(host, int.from_bytes(packed[-2:], "big"))

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `1.2.3.4:6881` or `[2001:db8::1]:6881`."""
        host, port = split_host_port(text)
        return cls(host, port)

    @classmethod
    def known(cls, host: str, port: int, packed: bytes) -> Address:
        """An address whose every form is known to be right: nothing is checked or computed again."""
        address = cls.__new__(cls)
        known = vars(address)  # as frozen as the rest from here on
        known["host"], known["port"], known["packed"] = host, port, packed
        return address

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def split_host_port(text: str) -> tuple[str, int]:
    """Split `host:port` (an IPv6 host in brackets); ValueError if it is not of that form."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not HOST:PORT")
    if int(port) > 65535:
        raise ValueError(f"port {port} is not in 0 to 65535")
    return (host[1:-1] if bracketed else host), int(port)


def fold(host: str) -> str:
    """The shortest text form of an IP address, mapped IPv4 as IPv4; ValueError for anything else."""
    try:
        inet_pton(AF_INET, host)  # what a tracker reads with each announce, at a tenth of the price
        return host
    except OSError:
        pass  # IPv6, or no address
    parsed = ip_address(host)
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id:
            raise ValueError(f"{host!r} has a scope")
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
    return str(parsed)


def pack_host(host: str) -> bytes:
    """The 4 or 16 bytes of an IP address that was folded."""
    return inet_pton(AF_INET6 if ":" in host else AF_INET, host)
