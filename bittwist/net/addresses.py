"""Our addresses from those that Twisted tells."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress

from bittwist.address import Address


def address_of(address: IAddress) -> Address:
    """The IP address and port of a Twisted address; 0.0.0.0:0 for what has none, such as a UNIX socket."""
    host = getattr(address, "host", "0.0.0.0").partition("%")[0]  # a link-local address with its interface
    return Address(host, getattr(address, "port", 0))
