"""The one address type."""

from ipaddress import ip_address
from unittest import TestCase

from hypothesis import example, given
from hypothesis import strategies as st

from bittwist.address import Address, fold, pack_host

almost = st.text("0123456789.:af%\n٣ ", max_size=18)


class FoldTests(TestCase):
    @given(st.ip_addresses(v=4).map(str) | almost)
    @example("1.2.3.04")
    @example("1.2.3.256")
    @example("1.2.3.4\n")
    def test_what_is_an_ipv4_address_is_as_the_library_has_it(self, text: str) -> None:
        try:
            expected = str(ip_address(text))
        except ValueError:
            with self.assertRaises(ValueError):
                fold(text)
        else:
            if ":" not in text:
                self.assertEqual(fold(text), expected)

    @given(st.ip_addresses().map(str))
    def test_addresses_are_packed_as_the_library_packs_them(self, text: str) -> None:
        host = fold(text)
        self.assertEqual(pack_host(host), ip_address(host).packed)
        self.assertEqual(Address(host, 258).packed, ip_address(host).packed + b"\1\2")
        self.assertEqual(Address.unpack(Address(host, 258).packed), Address(host, 258))

    def test_mapped_addresses_are_ipv4(self) -> None:
        self.assertEqual(fold("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(Address("::FFFF:192.0.2.1", 1), Address("192.0.2.1", 1))
