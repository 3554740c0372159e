"""The networks this machine is on, and sockets that speak to everybody there (multicast)."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from pathlib import Path

from twisted.internet import udp

from bittwist.address import Address
from bittwist.net.datagrams import Datagrams

_SIOCGIFCONF, _SIOCGIFFLAGS, _SIOCGIFNETMASK = 0x8912, 0x8913, 0x891B  # linux/sockios.h
_UP, _LOOPBACK, _POINT_TO_POINT, _MULTICAST = 0x1, 0x8, 0x10, 0x1000  # linux/if.h
_NAME = 16  # bytes of an interface's name in those calls
_REQUEST = _NAME + (24 if sys.maxsize > 1 << 32 else 16)  # bytes of a whole struct ifreq
_IPV6_TABLE = Path("/proc/net/if_inet6")
_LINK_SCOPE = "20"  # link-local, in that table


@dataclass(frozen=True, slots=True)
class Link:
    """One address of this machine, the network it is in, and the number of the interface (0: unknown)."""

    interface: int
    address: IPv4Interface | IPv6Interface
    shared: bool = True  # others can be there: neither a loopback device nor a tunnel to one other end

    @property
    def host(self) -> str:
        return str(self.address.ip)

    @property
    def is_ipv6(self) -> bool:
        return self.address.version == 6

    def has(self, host: str) -> bool:
        """Whether the IP address `host` is in this network."""
        return ip_address(host) in self.address.network


def find_links() -> tuple[Link, ...]:
    """The networks this machine is on now. Where the system is not asked for them, the one it prefers."""
    try:
        found = _ask_linux() if sys.platform == "linux" else _guess()
    except OSError:
        return ()
    return tuple(found)


def open_group_socket(group: Address, links: Sequence[Link]) -> socket.socket:
    """A socket that hears what is sent to the multicast group on these links. OSError where that cannot be.

    Bound to the group: what is sent to this machine alone, from anywhere, does not reach it.
    """
    family = socket.AF_INET6 if group.is_ipv6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        # Every client of this machine hears the group.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if group.is_ipv6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((group.host, group.port))
        joined = 0
        for link in {link.interface: link for link in reversed(links)}.values():
            try:
                _join(opened, group, link)
                joined += 1
            except OSError as error:
                problem = error  # this one went away, perhaps; there are others
        if not joined:
            raise problem if links else OSError("no network to listen on")
    except BaseException:
        opened.close()
        raise
    return opened


class GroupSpeaker(Datagrams):
    """A protocol on a group's socket. Override `datagramReceived`; `tell` sends to everybody on each link."""

    def __init__(self, group: Address, links: Sequence[Link]) -> None:
        super().__init__()
        self.group = group
        self._links = {link.interface: link for link in reversed(links)}

    def tell(self, datagram: bytes) -> None:
        port = self.transport
        for link in self._links.values():
            try:
                if isinstance(port, udp.Port):
                    _speak_on(port.socket, self.group, link)
            except OSError:
                self.unsent += 1  # the link is gone
                continue
            self.send(datagram, (self.group.host, self.group.port))


def _join(opened: socket.socket, group: Address, link: Link) -> None:
    packed = group.packed[:-2]
    if group.is_ipv6:
        request = packed + struct.pack("@I", link.interface)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        request = packed + link.address.ip.packed + struct.pack("@i", link.interface)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


def _speak_on(opened: socket.socket, group: Address, link: Link) -> None:
    if group.is_ipv6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link.interface)
    else:
        request = bytes(4) + link.address.ip.packed + struct.pack("@i", link.interface)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)


def _ask_linux() -> list[Link]:
    return [*_ipv4_links(), *_ipv6_links()]


def _ipv4_links() -> list[Link]:
    from array import array
    from fcntl import ioctl

    links = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        table = array("B", bytes(64 * _REQUEST))
        begin, length = table.buffer_info()
        answer = ioctl(asking, _SIOCGIFCONF, struct.pack("@iP", length, begin))
        (length,) = struct.unpack_from("@i", answer)
        for at in range(0, length - _REQUEST + 1, _REQUEST):
            request = table[at : at + _REQUEST].tobytes()
            name = request[:_NAME].partition(b"\0")[0].decode("utf-8", "replace")
            (flags,) = struct.unpack_from("@H", ioctl(asking, _SIOCGIFFLAGS, request), _NAME)
            if not flags & _UP:
                continue
            mask = socket.inet_ntoa(ioctl(asking, _SIOCGIFNETMASK, request)[_NAME + 4 : _NAME + 8])
            host = socket.inet_ntoa(request[_NAME + 4 : _NAME + 8])
            # An address with a name of its own, such as eth0:1, is on eth0.
            number = socket.if_nametoindex(name.partition(":")[0])
            links.append(Link(number, IPv4Interface(f"{host}/{mask}"), _is_shared(flags)))
    return links


def _is_shared(flags: int) -> bool:
    return bool(flags & _MULTICAST) and not flags & (_LOOPBACK | _POINT_TO_POINT)


def _ipv6_links() -> list[Link]:
    from fcntl import ioctl

    try:
        rows = [line.split() for line in _IPV6_TABLE.read_text().splitlines()]
    except FileNotFoundError:
        return []  # a system without IPv6
    links = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for packed, number, length, scope, _, name in rows:
            if scope == _LINK_SCOPE:
                continue  # of no use to those who cannot name the interface
            request = name.encode().ljust(_REQUEST, b"\0")
            (flags,) = struct.unpack_from("@H", ioctl(asking, _SIOCGIFFLAGS, request), _NAME)
            address = IPv6Interface((bytes.fromhex(packed), int(length, 16)))
            links.append(Link(int(number, 16), address, _is_shared(flags)))
    return links


def _guess() -> list[Link]:
    """The addresses this machine would speak from, in networks of the usual size. Nothing is sent."""
    links = []
    for family, somewhere, length in (
        (socket.AF_INET, "192.0.2.1", 24),
        (socket.AF_INET6, "2001:db8::1", 64),
    ):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((somewhere, 9))
                host = asking.getsockname()[0]
        except OSError:
            continue  # no way out over this family
        address = ip_interface(f"{host}/{length}")
        links.append(Link(0, address, not address.is_loopback))
    return links
