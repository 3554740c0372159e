"""Address lists in the forms in circulation; whatever else is in a file is told of or refused."""

import gzip
import io
import struct
import time
import tracemalloc
from ipaddress import IPv4Address
from random import Random
from unittest import TestCase
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from bittwist.errors import FilterError
from bittwist.net import filterlists
from bittwist.net.filterlists import FilterLists
from bittwist.net.ipfilter import AddressRanges
from tests.scale import SEED, SOAK, runs

HEAD = b"\xff\xff\xff\xffP2B"


def numbers(*texts: str) -> bytes:
    return b"".join(bytes(map(int, text.split("."))) for text in texts)


class FilterListsTests(TestCase):
    def read(self, content: bytes) -> AddressRanges:
        self.lists = FilterLists()
        self.lists.read(io.BytesIO(content), "list")
        return self.lists.finish()

    def refusal(self, content: bytes) -> str:
        with self.assertRaises(FilterError) as caught:
            self.read(content)
        return str(caught.exception)

    def assertFiltered(self, ranges: AddressRanges, inside: str, outside: str) -> None:
        self.assertEqual([host for host in inside.split() if host not in ranges], [])
        self.assertEqual([host for host in outside.split() if host in ranges], [])

    def test_ipfilter_dat(self) -> None:
        found = self.read(
            b"# eMule\r\n"
            b"001.002.003.000 - 001.002.003.255 , 000 , Some name, with a comma\r\n"
            b"010.000.000.008 - 010.000.000.010 , 100 ,\r\n"
            b"020.0.0.0-20.0.0.9,127\r\n"
            b"030.0.0.0 - 30.0.0.9 , 128 , allowed\r\n"
            b"040.0.0.0 - 40.0.0.9 , 255 , allowed\r\n"
            b"050.000.000.001 , 0 , one\r\n"
            b"2001:db8:: - 2001:db8::ff , 000 , six\r\n"
            b"2001:db9:: - 2001:db9::ff , 200 , allowed\r\n"
        )
        self.assertFiltered(
            found,
            "1.2.3.0 1.2.3.255 10.0.0.9 20.0.0.5 50.0.0.1 2001:db8::7",
            "1.2.2.255 1.2.4.0 10.0.0.7 10.0.0.11 30.0.0.5 40.0.0.5 50.0.0.2 2001:db9::1",
        )
        self.assertEqual((len(found), self.lists.num_faults), (5, 0))

    def test_p2p_text(self) -> None:
        found = self.read(
            "# P2P\nName: of a firm:1.2.3.0-1.2.3.255\n"
            "9.9.9.9-9.9.9.10, odd:5.0.0.0 - 5.0.0.1\n:6.0.0.0-6.0.0.0\nÄrger:7.0.0.0-7.0.0.0\n".encode()
        )
        self.assertFiltered(found, "1.2.3.77 5.0.0.1 6.0.0.0 7.0.0.0", "9.9.9.9 1.2.4.0")

    def test_networks_addresses_and_ranges(self) -> None:
        found = self.read(
            b"\xef\xbb\xbf10.0.0.0/8\n192.0.2.1\n\n198.51.100.1-198.51.100.9\n"
            b"2001:db8::/32  # ours\n; a remark\n// another\n::ffff:203.0.113.0/120"
        )
        self.assertFiltered(
            found, "10.9.8.7 192.0.2.1 198.51.100.5 2001:db8:1::1 203.0.113.9", "192.0.2.2 198.51.100.10 ::1"
        )
        self.assertEqual(self.lists.num_faults, 0)

    def test_p2b_of_every_version(self) -> None:
        named = b"one\0" + numbers("1.0.0.0", "1.0.0.255") + b"two\0" + numbers("2.0.0.0", "2.0.0.9")
        numbered = struct.pack(">I", 2) + b"one\0two\0" + struct.pack(">I", 2)
        numbered += struct.pack(">I", 0) + numbers("1.0.0.0", "1.0.0.255")
        numbered += struct.pack(">I", 1) + numbers("2.0.0.0", "2.0.0.9")
        for content in (HEAD + b"\1" + named, HEAD + b"\2" + named, HEAD + b"\3" + numbered):
            self.assertFiltered(self.read(content), "1.0.0.7 2.0.0.9", "1.0.1.0 2.0.0.10")

    def test_compressed_ones(self) -> None:
        for content in (b"1.2.3.4\n5.6.7.8\n", HEAD + b"\1x\0" + numbers("1.2.3.4", "1.2.3.4")):
            self.assertIn("1.2.3.4", self.read(gzip.compress(content)))

    def test_several_lists_are_one(self) -> None:
        lists = FilterLists()
        for text in (b"10.0.0.0/9\n", b"10.128.0.0/9\n"):
            lists.read(io.BytesIO(text), "list")
        self.assertEqual(len(lists.finish()), 1)

    def test_lines_that_make_no_sense_are_told_of_and_passed_over(self) -> None:
        lines = [b"1.2.3.4", b"5.6.7.8-5.6.7.7", b"300.1.1.1", b"example.com", b"x" * 2000, b"9.9.9.9"]
        found = self.read(b"\n".join(lines))
        self.assertFiltered(found, "1.2.3.4 9.9.9.9", "5.6.7.8")
        self.assertEqual(self.lists.num_faults, 4)
        for line, fault in zip((2, 3, 4, 5), self.lists.faults, strict=True):
            self.assertTrue(fault.startswith(f"list:{line}: "), fault)
        self.read(b"1.1.1.1\n" + b"?\n" * 1000)
        self.assertEqual((self.lists.num_faults, len(self.lists.faults)), (1000, filterlists.MAX_FAULTS))

    def test_a_file_without_a_line_of_sense_is_refused_with_the_place(self) -> None:
        self.assertRegex(self.refusal(b"# a page\n<html>\n<body>"), "^list:2: ")
        self.assertEqual(len(self.read(b"# nothing yet\n\n")), 0)

    def test_binary_lists_that_are_cut_off_or_lie_are_refused(self) -> None:
        for content, reason in (
            (HEAD, "version 0"),
            (HEAD + b"\x09", "version 9"),
            (HEAD + b"\1name", "byte 8"),
            (HEAD + b"\1name\0\1\2\3", "byte 8"),
            (HEAD + b"\3" + struct.pack(">I", 1 << 31), "names"),
            (HEAD + b"\3" + struct.pack(">II", 0, 1 << 31), "more than"),
            (HEAD + b"\3" + struct.pack(">II", 0, 1000), "room for fewer"),
            (HEAD + b"\3" + struct.pack(">IIIII", 0, 1, 0, 1, 2), "name 0 of 0"),
            (gzip.compress(b"1.2.3.4\n")[:-6], "gzip"),
            (b"\x1f\x8b\x08 nothing of the kind", "gzip"),
        ):
            self.assertRegex(self.refusal(content), reason)

    def test_a_bomb_costs_its_bounds(self) -> None:
        with patch.multiple(filterlists, MAX_BYTES=100_000, MAX_RANGES=1000, MAX_LINES=5000):
            for text, reason in (
                (b"x" * 200_000, "longer"),
                (b"\n" * 60_000, "lines"),
                (b"1.1.1.1\n" * 3000, "more"),
            ):
                self.assertRegex(self.refusal(gzip.compress(text)), reason)
            self.assertRegex(self.refusal(gzip.compress(HEAD + b"\1" + b"x" * 200_000)), "longer")

    @given(
        st.binary(max_size=300), st.sampled_from([b"", HEAD, HEAD + b"\1", HEAD + b"\3", b"\x1f\x8b\x08\0"])
    )
    def test_any_bytes_are_a_list_or_our_error(self, content: bytes, start: bytes) -> None:
        for whole in (start + content, gzip.compress(start + content)):
            try:
                self.read(whole)
            except FilterError:
                continue

    @given(st.lists(st.text("0123456789.-:,/ #af\n", max_size=60), max_size=10))
    def test_any_lines_are_ranges_or_faults(self, lines: list[str]) -> None:
        try:
            self.read("\n".join(lines).encode())
        except FilterError:
            return

    def test_a_long_list_is_small_and_quickly_looked_up(self) -> None:
        random = Random(SEED)
        count = runs(20_000, 2_000_000)
        starts = [random.randrange(1 << 32) & ~0xFF for _ in range(count)]
        lines = [
            "{}.{}.{}.{} - {}.{}.{}.{} , 000 , some name".format(*n.to_bytes(4), *(n + 99).to_bytes(4))
            for n in starts
        ]
        content = "\n".join(lines).encode()
        began = time.process_time()
        found = self.read(content)
        took = time.process_time() - began
        hosts = [".".join(map(str, random.randbytes(4))) for _ in range(10_000)]
        began = time.process_time()
        for host in hosts:
            host in found  # noqa: B015  # what is measured
        each = (time.process_time() - began) / len(hosts)
        for start in starts[:100]:
            self.assertIn(str(IPv4Address(start + 99)), found)
        if SOAK:
            tracemalloc.start()
            self.read(content)
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(each, 5e-6)
            self.assertLess(kept, 9 * count)
            print(f"{count} lines: {took:.1f} s, {len(found)} ranges, {each * 1e6:.2f} us a look-up")
