"""Address ranges: what is written in them, and what is found in them."""

from ipaddress import IPv4Address, IPv6Address
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.net.ipfilter import AddressRange, AddressRanges


def ranges(*texts: str) -> AddressRanges:
    return AddressRanges(map(AddressRange.parse, texts))


class ParseTests(TestCase):
    def test_an_address_a_network_and_a_range(self) -> None:
        for text, first, last in (
            ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
            (" 10.0.0.0/8\n", "10.0.0.0", "10.255.255.255"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("192.0.2.1-192.0.2.9", "192.0.2.1", "192.0.2.9"),
            ("192.0.2.1 - 192.0.2.9", "192.0.2.1", "192.0.2.9"),
        ):
            wanted = AddressRange(int(IPv4Address(first)), int(IPv4Address(last)), False)
            self.assertEqual(AddressRange.parse(text), wanted)
        six = AddressRange.parse("2001:db8::/32")
        self.assertEqual(six.first, int(IPv6Address("2001:db8::")))
        self.assertTrue(six.is_ipv6)

    def test_mapped_addresses_become_ipv4(self) -> None:
        self.assertEqual(AddressRange.parse("::ffff:10.0.0.0/104"), AddressRange.parse("10.0.0.0/8"))
        self.assertEqual(AddressRange.parse("::ffff:10.0.0.1"), AddressRange.parse("10.0.0.1"))

    def test_what_is_no_range_says_why(self) -> None:
        for text, reason in (
            ("", "not an address"),
            ("example.com", "not an IP address"),
            ("10.0.0.1/8", "host bits"),
            ("10.0.0.0/33", "prefix length"),
            ("10.0.0.9-10.0.0.1", "ends before"),
            ("10.0.0.1-::1", "mixes"),
            ("10.0.0.1-", "not an IP address"),
            ("fe80::1%eth0", "scope"),
            ("1" * 300, "not an address"),
        ):
            with self.assertRaisesRegex(ValueError, reason):
                AddressRange.parse(text)

    @given(st.text(max_size=60))
    def test_any_text_is_a_range_or_a_value_error(self, text: str) -> None:
        try:
            found = AddressRange.parse(text)
        except ValueError:
            return
        self.assertLessEqual(found.first, found.last)


class LookUpTests(TestCase):
    def test_the_ends_are_in_and_their_neighbours_out(self) -> None:
        filtered = ranges("10.0.0.0/8", "2001:db8::/32", "192.0.2.5-192.0.2.6")
        for host in ("10.0.0.0", "10.255.255.255", "192.0.2.5", "192.0.2.6", "2001:db8::", "::ffff:10.1.1.1"):
            self.assertIn(host, filtered)
        for host in ("9.255.255.255", "11.0.0.0", "192.0.2.4", "192.0.2.7", "2001:db9::", "::10.1.1.1"):
            self.assertNotIn(host, filtered)

    def test_what_is_no_address_is_nowhere(self) -> None:
        everywhere = ranges("0.0.0.0/0", "::/0")
        for host in ("", "host", "10.1", "1.2.3.4.5", "10.0.0.1\0", "é", "::1::", 7, None):
            self.assertNotIn(host, everywhere)
        self.assertIn("fe80::1%eth0", everywhere)

    def test_an_empty_set_has_nobody(self) -> None:
        self.assertNotIn("10.0.0.1", AddressRanges())
        self.assertEqual(len(AddressRanges()), 0)

    def test_ranges_that_touch_or_overlap_are_one(self) -> None:
        self.assertEqual(len(ranges("10.0.0.0/9", "10.128.0.0/9", "10.0.0.1", "10.0.0.0/8")), 1)
        self.assertEqual(len(ranges("10.0.0.0/8", "12.0.0.0/8")), 2)

    def test_a_mapped_address_is_found_in_ipv6_ranges_as_well(self) -> None:
        self.assertIn("::ffff:192.0.2.1", ranges("::/0"))

    @given(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(lambda pair: tuple(sorted(pair)))),
        st.booleans(),
    )
    def test_it_is_the_union_of_its_ranges(self, pairs: list[tuple[int, int]], six: bool) -> None:
        kind = IPv6Address if six else IPv4Address
        base = int(kind("2001:db8::" if six else "10.0.0.0"))
        found = AddressRanges(AddressRange(base + first, base + last, six) for first, last in pairs)
        for number in range(302):
            wanted = any(first <= number <= last for first, last in pairs)
            self.assertEqual(str(kind(base + number)) in found, wanted)
