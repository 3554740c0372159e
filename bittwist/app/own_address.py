"""By which address others may reach this machine. Nothing is sent to find out."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

# Addresses reserved for documentation: asked for the way to them, never sent to.
_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_DISCARD = 9
_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface
_IF_INET6 = Path("/proc/net/if_inet6")  # Linux: the IPv6 addresses of all interfaces


def own_address() -> str | None:
    """The address of the interface that leads out, else of any that leads to others; None if none does."""
    for candidates in (_ways_out, _of_the_name, _of_interfaces):
        for host in candidates():
            if _leads_to_others(host) and _is_ours(host):
                return str(ip_address(host))
    return None


def _ways_out() -> Iterator[str]:
    """From where a datagram to anywhere would be sent."""
    for family, somewhere in _SOMEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((somewhere, _DISCARD))
                yield asking.getsockname()[0]
        except OSError:
            continue  # no way out in this family


def _of_the_name() -> Iterator[str]:
    """What this machine's own name stands for."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return
    yield from (str(at[0]) for _, _, _, _, at in found)


def _of_interfaces() -> Iterator[str]:
    """What the interfaces have, where the system tells: on Linux, so far."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                told = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # this one has none, or it is another system
            yield socket.inet_ntoa(told[20:24])
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        yield str(ip_address(int(line.split()[0], 16).to_bytes(16, "big")))


def _leads_to_others(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (
        address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    )


def _is_ours(host: str) -> bool:
    """A name may stand for what was this machine's address elsewhere, or once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trying:
            trying.bind((host, 0))
    except OSError:
        return False
    return True
