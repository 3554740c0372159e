"""Our addresses from those that Twisted tells."""

from twisted.internet.address import IPv6Address, UNIXAddress

from bittwist.address import Address
from bittwist.net.addresses import address_of


def test_link_local_addresses_lose_their_interface():
    assert address_of(IPv6Address("TCP", "fe80::1%eth0", 5)) == Address("fe80::1", 5)


def test_what_has_no_ip_address_is_nowhere():
    assert address_of(UNIXAddress(b"/x")) == Address("0.0.0.0", 0)
