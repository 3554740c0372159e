"""Lists in files: what is in them, who is refused by them, and what becomes of them when they change."""

import math
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.address import Address
from bittwist.errors import ConfigError
from bittwist.tracker import Arrival, Front
from bittwist.tracker.lists import (
    MAX_LINE,
    AddressLists,
    ClientLists,
    InfoHashLists,
    read_addresses,
    read_clients,
    read_info_hashes,
)
from bittwist.tracker.watched import BrokenFile, WatchedFile
from tests.tracker.arrivals import ARRIVAL, HASH, OTHER, announcing, scraping
from tests.tracker.machine import LatePool, Machine, complaints

T = TypeVar("T")


class Fixed:
    def __init__(self, value: object) -> None:
        self.value = value


def of(read: Callable[[BytesIO], T], text: bytes) -> T:
    return read(BytesIO(text))


class ReadingTests(SynchronousTestCase):
    def test_info_hashes_of_both_kinds_with_comments(self) -> None:
        text = (
            b"# ours\n\n" + HASH.hex().upper().encode() + b"  # one\r\n" + (OTHER + b"x" * 12).hex().encode()
        )
        self.assertEqual(of(read_info_hashes, text), {HASH, OTHER})

    def test_clients_of_every_style(self) -> None:
        clients = of(read_clients, b"-XX\nM4-3\nS58B----- # shadow\n%00%01\n%23\n")
        for peer_id in (b"-XX0000-", b"M4-3-6--", b"S58B-----", b"\0\x01", b"#"):
            self.assertIn(peer_id.ljust(20, b"z"), clients)
        for peer_id in (b"-XY", b"M4-4", b"xM4-3", b"\0\0"):
            self.assertNotIn(peer_id.ljust(20, b"z"), clients)

    def test_addresses(self) -> None:
        found = of(read_addresses, b"10.0.0.0/8\n192.0.2.1-192.0.2.9 # them\n2001:db8::/32\n")
        self.assertIn("192.0.2.4", found)
        self.assertEqual(len(found), 3)

    def test_a_broken_line_is_named_by_its_number(self) -> None:
        for read, text, line, reason in (
            (read_info_hashes, b"\n# x\nabc\n", 3, "hexadecimal"),
            (read_info_hashes, b"z" * 40, 1, "hexadecimal"),
            (read_info_hashes, b" ".join([b"ab"] * 20), 1, "hexadecimal"),
            (read_clients, b"-XX\n" + b"a" * 21, 2, "20 bytes"),
            (read_clients, b"\xff", 1, "ASCII"),
            (read_addresses, b"10.0.0.0/8\nexample.com\n", 2, "IP address"),
            (read_addresses, b"#" * (MAX_LINE + 1), 1, "longer"),
        ):
            with self.assertRaisesRegex(BrokenFile, reason) as caught:
                of(read, text)  # type: ignore[arg-type]
            self.assertEqual(caught.exception.line, line)

    def test_any_bytes_are_a_list_or_broken(self) -> None:
        @given(st.one_of(st.binary(max_size=200), st.text("0123456789abcdef.:/-#%\n ", max_size=200)))
        def tried(content: bytes | str) -> None:
            data = content if isinstance(content, bytes) else content.encode()
            for read in (read_info_hashes, read_clients, read_addresses):
                try:
                    of(read, data)  # type: ignore[arg-type]
                except BrokenFile:
                    pass  # one of the two outcomes

        tried()


class RefusalTests(SynchronousTestCase):
    def test_the_deny_list_refuses_what_it_names(self) -> None:
        hook = InfoHashLists(None, Fixed({OTHER}))
        self.assertIsNone(announcing(hook))
        failure = announcing(hook, info_hash=OTHER)
        assert failure is not None
        self.assertEqual((failure.reason[:10], failure.retry_in), ("info_hash:", math.inf))
        self.assertIsNone(scraping(hook))
        self.assertIsNotNone(scraping(hook, hashes=(HASH, OTHER)))

    def test_the_allow_list_refuses_what_it_does_not_name(self) -> None:
        hook = InfoHashLists(Fixed({HASH}), None)
        self.assertIsNone(announcing(hook))
        self.assertIsNotNone(announcing(hook, info_hash=OTHER))
        self.assertIsNotNone(scraping(hook, hashes=(HASH, OTHER)))

    def test_who_is_on_both_is_refused(self) -> None:
        self.assertIsNotNone(announcing(InfoHashLists(Fixed({HASH}), Fixed({HASH}))))

    def test_clients_are_told_by_their_peer_ids(self) -> None:
        hook = ClientLists(None, Fixed(of(read_clients, b"-XX")))
        self.assertIn("peer_id", str(announcing(hook)))
        self.assertIsNone(announcing(hook, peer_id=b"-YY1234-abcdefghijkl"))
        self.assertIsNone(scraping(hook))

    def test_an_address_is_refused_as_asker_and_as_peer(self) -> None:
        hook = AddressLists(None, Fixed(of(read_addresses, b"198.51.100.0/24")))
        self.assertIsNone(announcing(hook))
        self.assertIsNotNone(announcing(hook, address=Address("198.51.100.9", 1)))
        bad = Arrival(Front.UDP, "198.51.100.1")
        self.assertIsNotNone(announcing(hook, bad))
        self.assertIsNotNone(scraping(hook, bad))
        self.assertIsNone(scraping(hook, ARRIVAL))


class WatchedFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(mkdtemp(dir=self.mktemp_folder())) / "hashes"
        self.machine = Machine()
        self.path.write_text(HASH.hex())
        self.file = WatchedFile(self.machine, self.path, "deny_info_hashes", read_info_hashes)

    def mktemp_folder(self) -> str:
        folder = self.mktemp()
        os.makedirs(folder)
        return folder

    def reload(self) -> None:
        self.successResultOf(self.file.reload())

    def test_it_is_read_at_the_start(self) -> None:
        self.file.load()
        self.assertEqual(self.file.value, {HASH})

    def test_one_that_cannot_be_used_at_the_start_is_a_config_error(self) -> None:
        self.path.write_text("\nno\n")
        with self.assertRaisesRegex(ConfigError, "deny_info_hashes: line 2"):
            self.file.load()
        self.path.unlink()
        with self.assertRaisesRegex(ConfigError, "deny_info_hashes: No such file"):
            self.file.load()

    def test_a_change_is_found_and_the_same_file_is_not_read_again(self) -> None:
        self.file.load()
        before = self.file.value
        self.reload()
        self.assertIs(self.file.value, before)
        self.path.write_text(OTHER.hex() + "\n")
        self.reload()
        self.assertEqual(self.file.value, {OTHER})

    def test_a_file_renamed_over_it_is_found_though_size_and_time_are_the_same(self) -> None:
        self.file.load()
        found = self.path.stat()
        other = self.path.with_name("other")
        other.write_text(OTHER.hex())
        os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
        other.rename(self.path)
        self.reload()
        self.assertEqual(self.file.value, {OTHER})

    def test_a_broken_file_is_logged_once_with_its_line_and_the_old_list_stays(self) -> None:
        self.file.load()
        self.path.write_text("# a\nbroken\n")
        with complaints() as told:
            self.reload()
            self.reload()
            self.reload()
        self.assertEqual(len(told), 1)
        self.assertIn("line 2", told[0])
        self.assertIn(str(self.path), told[0])
        self.assertEqual(self.file.value, {HASH})
        self.path.write_text(OTHER.hex())
        self.reload()
        self.assertEqual(self.file.value, {OTHER})

    def test_a_file_that_goes_away_is_kept_and_told_of_once(self) -> None:
        self.file.load()
        self.path.unlink()
        with complaints() as told:
            self.reload()
            self.reload()
        (line,) = told
        self.assertEqual(line.count(str(self.path)), 1)
        self.assertIn("what was read before stays", line)
        self.assertEqual(self.file.value, {HASH})

    def test_it_is_not_read_in_the_reactors_thread(self) -> None:
        pool = LatePool()
        file = WatchedFile(Machine(pool), self.path, "key", read_info_hashes)
        file.load()
        self.path.write_text(OTHER.hex() + "\n")
        read = file.reload()
        self.assertNoResult(read)
        self.assertEqual(file.value, {HASH})
        pool.run()
        self.successResultOf(read)
        self.assertEqual(file.value, {OTHER})
