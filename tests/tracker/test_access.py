"""Which address an announce is about, and which ports are refused."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import Address
from bittwist.errors import TrackerFailure
from bittwist.tracker import Arrival, Front, TrackerSettings
from bittwist.tracker.access import UserPorts, peer_address
from tests.tracker.arrivals import REQUEST, announcing, scraping

ANYONE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
LOOPBACK = TrackerSettings().trusted_networks()


def located(host: str, ip: str | None, trusted: Any = ANYONE, private: bool = False) -> str:
    """The address found, or the reason of the refusal."""
    try:
        return peer_address(host, replace(REQUEST, ip=ip), trusted, private=private).host
    except TrackerFailure as failure:
        return failure.reason


class AddressTests(TestCase):
    def test_the_address_it_came_from_counts(self) -> None:
        self.assertEqual(peer_address("192.0.2.7", REQUEST, ()), Address("192.0.2.7", 6881))
        self.assertEqual(located("::ffff:192.0.2.7", None), "192.0.2.7")
        self.assertEqual(located("fe80::1%eth0", None), "fe80::1")

    def test_a_named_address_counts_from_the_trusted_only(self) -> None:
        self.assertEqual(located("127.0.0.1", "198.51.100.1", LOOPBACK), "198.51.100.1")
        self.assertEqual(located("::ffff:127.0.0.1", "198.51.100.1", LOOPBACK), "198.51.100.1")
        self.assertEqual(located("::1", "2001:db8::1", LOOPBACK), "2001:db8::1")
        self.assertEqual(located("192.0.2.7", "198.51.100.1", LOOPBACK), "192.0.2.7")
        self.assertEqual(located("192.0.2.7", "0.0.0.0", LOOPBACK), "192.0.2.7")

    def test_an_address_that_is_nobodys_is_refused(self) -> None:
        for ip in ("0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"):
            self.assertIn("not a peer's address", located("127.0.0.1", ip))
        for ip in ("::", "ff02::1", "64:ff9b::a00:1", "100::1", "4000::1", "::a00:1"):
            self.assertIn("not a peer's address", located("127.0.0.1", ip))

    def test_a_private_address_is_named_from_private_ones_only(self) -> None:
        for ip in ("10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fd00::1", "::1"):
            self.assertEqual(located("192.168.7.7", ip), ip)
            self.assertIn("private", located("192.0.2.7", ip))
            self.assertEqual(located("192.0.2.7", ip, private=True), ip)

    def test_no_setting_lets_nobodys_address_in(self) -> None:
        self.assertIn("not a peer's address", located("10.0.0.1", "224.0.0.1", private=True))

    @given(
        st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
        st.one_of(st.none(), st.ip_addresses(v=4), st.ip_addresses(v=6)),
        st.booleans(),
    )
    def test_any_pair_is_an_address_or_a_failure(self, host: Any, ip: Any, private: bool) -> None:
        named = None if ip is None else Address(str(ip.exploded), 1).host
        if getattr(host, "scope_id", None):
            return
        try:
            found = peer_address(str(host), replace(REQUEST, ip=named), ANYONE, private=private)
        except TrackerFailure as failure:
            self.assertTrue(failure.reason.startswith("ip: "))
            return
        self.assertIn(found.host, {Address(str(host), 1).host, named})
        if found.host == named and ip != host:
            self.assertFalse(ip_address(named).is_multicast)


class PortTests(TestCase):
    def test_ports_below_1024_are_refused(self) -> None:
        for port in (1, 22, 80, 1023):
            failure = announcing(UserPorts(), port=port)
            assert failure is not None
            self.assertTrue(failure.reason.startswith(f"port: {port} "))
        self.assertIsNone(announcing(UserPorts(), port=1024))
        self.assertIsNone(scraping(UserPorts()))

    def test_a_browser_has_no_port(self) -> None:
        arrival = Arrival(Front.WEBSOCKET, "192.0.2.1", connection=object())
        self.assertIsNone(announcing(UserPorts(), arrival, port=0))
