"""Whom reverse proxies name."""

from __future__ import annotations

from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from bittwist.address import fold
from bittwist.net.forwarded import FORWARDED, HEADERS, MAX_HOPS, X_FORWARDED_FOR, named_by


def named(header: str, *values: bytes) -> list[str]:
    return list(named_by(header, values))


class NamedByTests(TestCase):
    def test_the_nearest_comes_first(self) -> None:
        for header, value in {
            X_FORWARDED_FOR: b"10.0.0.1, 2001:DB8::1,::ffff:10.0.0.2",
            FORWARDED: b'for=10.0.0.1;proto=https, for="[2001:DB8::1]", For=" ::ffff:10.0.0.2"',
        }.items():
            self.assertEqual(named(header, value), ["10.0.0.2", "2001:db8::1", "10.0.0.1"])

    def test_lines_go_on_from_one_another(self) -> None:
        self.assertEqual(named(X_FORWARDED_FOR, b"10.0.0.1", b"10.0.0.2"), ["10.0.0.2", "10.0.0.1"])

    def test_ports_are_passed_over(self) -> None:
        self.assertEqual(
            named(X_FORWARDED_FOR, b"[2001:db8::1]:80, 10.0.0.1:80"), ["10.0.0.1", "2001:db8::1"]
        )
        self.assertEqual(named(FORWARDED, b'for="10.0.0.1:_x"'), ["10.0.0.1"])

    def test_the_forms_of_rfc_7239(self) -> None:
        """Section 4 and 6, as printed there."""
        for value, hosts in {
            b'For="[2001:db8:cafe::17]:4711"': ["2001:db8:cafe::17"],
            b"for=192.0.2.60;proto=http;by=203.0.113.43": ["192.0.2.60"],
            b"for=192.0.2.43, for=198.51.100.17": ["198.51.100.17", "192.0.2.43"],
            b'for="_gazonk"': [],
            b"for=_hidden, for=_SEVKISEK": [],
            b"for=unknown": [],
            b"proto=http;by=203.0.113.43": [],
        }.items():
            self.assertEqual(named(FORWARDED, value), hosts, value)

    def test_marks_in_quotes_do_not_split(self) -> None:
        self.assertEqual(
            named(FORWARDED, b'for=10.0.0.1;x="a, for=6.6.6.6 \\", b;for=7.7.7.7"'), ["10.0.0.1"]
        )
        self.assertEqual(named(FORWARDED, b'x="open, for=10.0.0.1'), [])

    def test_it_ends_at_what_is_no_address(self) -> None:
        self.assertEqual(named(X_FORWARDED_FOR, b"10.0.0.1, unknown, 10.0.0.2"), ["10.0.0.2"])
        for value in (b"", b",", b"\xff", b"a.example", b"1.2.3", b"fe80::1%eth0", b"[", b"]:"):
            self.assertEqual(named(X_FORWARDED_FOR, value), [], value)

    def test_only_so_many_are_looked_at(self) -> None:
        many = b",".join([b"10.0.0.1"] * (MAX_HOPS + 5))
        self.assertEqual(len(named(X_FORWARDED_FOR, many)), MAX_HOPS)

    @given(st.sampled_from(HEADERS), st.lists(st.binary(max_size=60)))
    def test_arbitrary_bytes_name_addresses_or_nobody(self, header: str, values: list[bytes]) -> None:
        for host in named(header, *values):
            self.assertEqual(fold(host), host)
