"""The journal: what was written is read, and what was damaged is not believed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import DiskFull, LocalProtocolError, StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.storage.interfaces import FileStamp, Place
from bittwist.storage.resume import Journal, Journaled
from tests.storage.torrents import content_of, make_info

CONTENT = content_of(400_000)
INFO = make_info(CONTENT, [("a", 150_000), ("b", 250_000)])  # 13 pieces
PARTS = FileStamp(32_768, 1_700_000_000_000_000_001, 9, 2049)  # the part file's, behind those of the files
STAMPS = (FileStamp(150_000, 1_700_000_000_123_456_789, 1 << 60, 2049), None, PARTS)
LATER = (FileStamp(150_000, 1_700_000_001_000_000_000, 1 << 60, 2049), FileStamp(7, -1, 3, 2049), None)
PLACE = Place(2049, 77)


def have(*indices: int) -> Bitfield:
    bitfield = Bitfield(INFO.geometry.num_pieces)
    for index in indices:
        bitfield.add(index)
    return bitfield


class Journals(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "state" / "journal"
        self.journal = Journal(self.path)

    def begin(self) -> None:
        self.journal.begin(INFO, have(0, 3), PLACE, STAMPS)

    def read(self) -> Journaled | None:
        return Journal(self.path).read(INFO)

    def test_nothing_is_known_at_first(self) -> None:
        self.assertIsNone(self.read())

    def test_what_it_begins_with_is_read_back(self) -> None:
        self.begin()
        self.assertEqual(self.read(), Journaled(have(0, 3), PLACE, STAMPS, None))

    def test_pieces_are_added_and_taken_away(self) -> None:
        self.begin()
        self.journal.append(kept=[5, 7])
        self.journal.append(kept=[8], lost=[3, 5])
        self.assertEqual(self.read(), Journaled(have(0, 7, 8), PLACE, STAMPS, None))

    def test_a_journal_that_knows_no_part_file_is_read(self) -> None:
        self.journal.begin(INFO, have(0, 3), PLACE, STAMPS[:2])
        self.journal.stop(LATER[:2])
        self.assertEqual(self.read(), Journaled(have(0, 3), PLACE, (*STAMPS[:2], None), LATER))

    def test_files_that_are_made_later_are_remarked_and_no_piece_is_forgotten(self) -> None:
        self.begin()
        self.journal.append(kept=[5])
        self.journal.remark(PLACE, LATER)
        self.journal.append(kept=[6])
        self.assertEqual(self.read(), Journaled(have(0, 3, 5, 6), PLACE, LATER, None))

    def test_a_clean_stop_has_its_stamps(self) -> None:
        self.begin()
        self.journal.append(kept=[5])
        self.journal.stop(LATER)
        self.assertEqual(self.read(), Journaled(have(0, 3, 5), PLACE, STAMPS, LATER))

    def test_beginning_anew_takes_the_clean_stop_back(self) -> None:
        self.begin()
        self.journal.stop(LATER)
        self.begin()
        journaled = self.read()
        self.assertIsNone(journaled.stopped if journaled else journaled)

    def test_it_is_not_written_to_before_its_beginning_nor_after_its_end(self) -> None:
        self.assertRaises(LocalProtocolError, self.journal.append, [1])
        self.begin()
        self.journal.stop(LATER)
        self.assertRaises(LocalProtocolError, self.journal.append, [1])

    def test_a_journal_of_another_torrent_is_set_aside(self) -> None:
        self.begin()
        other = make_info(CONTENT, [("a", 150_000), ("c", 250_000)])
        self.assertIsNone(Journal(self.path).read(other))
        self.assertFalse(self.path.exists())
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["journal.unreadable"])

    def test_an_empty_file_is_set_aside(self) -> None:
        self.begin()
        self.path.write_bytes(b"")
        self.assertIsNone(self.read())
        self.assertFalse(self.path.exists())

    def test_cut_anywhere_it_says_what_it_said_at_some_time(self) -> None:
        self.begin()
        said = [have(0, 3)]
        for kept in (4, 5, 6):
            self.journal.append(kept=[kept])
            said.append(have(0, 3, *range(4, kept + 1)))
        self.journal.stop(LATER)
        whole = self.path.read_bytes()
        for size in range(len(whole)):
            self.path.write_bytes(whole[:size])
            journaled = self.read()
            if journaled is not None:
                self.assertIn(journaled.have, [have(), *said])
                self.assertIsNone(journaled.stopped)

    def test_one_flipped_bit_ends_what_is_believed_there(self) -> None:
        self.begin()
        self.journal.append(kept=[5])
        self.journal.stop(LATER)
        whole = self.path.read_bytes()
        for at in range(len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << at % 8
            self.path.write_bytes(damaged)
            journaled = self.read()
            if journaled is not None:
                self.assertIn(journaled.have, [have(), have(0, 3), have(0, 3, 5)])
                self.assertIsNone(journaled.stopped)

    def test_a_failed_append_is_written_over_by_the_next(self) -> None:
        self.begin()
        pwrite = os.pwrite

        def torn(fd: int, view: memoryview, at: int) -> int:
            pwrite(fd, view[:5], at)
            raise OSError(errno.ENOSPC, "No space left on device")

        with mock.patch("os.pwrite", torn):
            self.assertRaises(DiskFull, self.journal.append, [5])
        self.assertEqual(self.read(), Journaled(have(0, 3), PLACE, STAMPS, None))
        self.journal.append(kept=[6])
        self.assertEqual(self.read(), Journaled(have(0, 3, 6), PLACE, STAMPS, None))

    def test_a_failed_beginning_keeps_what_was_there(self) -> None:
        self.begin()
        for call in ("os.pwrite", "os.fsync", "os.replace"):
            with mock.patch(call, side_effect=OSError(errno.ENOSPC, "full")):
                self.assertRaises(DiskFull, self.journal.begin, INFO, have(1), PLACE, STAMPS)
            self.assertEqual(self.read(), Journaled(have(0, 3), PLACE, STAMPS, None))

    def test_a_journal_that_cannot_be_read_is_an_error_and_not_nothing(self) -> None:
        self.path.mkdir(parents=True)
        self.assertRaises(StorageError, self.read)

    def test_it_grows_no_longer_than_its_bound_and_goes_on_saying_the_same(self) -> None:
        self.begin()
        with mock.patch("bittwist.storage.resume.SLACK", 1000):
            for number in range(200):
                self.journal.append(kept=[1 + number % 2], lost=[2 - number % 2])
                self.assertLess(self.path.stat().st_size, 2000)
                self.assertEqual(self.read(), Journaled(have(0, 3, 1 + number % 2), PLACE, STAMPS, None))

    def test_it_is_removed(self) -> None:
        self.begin()
        self.journal.remove()
        self.journal.remove()
        self.assertIsNone(self.read())

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=300), st.booleans())
    def test_arbitrary_bytes_are_never_more_than_unreadable(self, junk: bytes, tail: bool) -> None:
        self.begin()
        content = self.path.read_bytes() if tail else b""
        self.path.write_bytes(content + junk)
        journaled = self.read()
        if tail:
            self.assertEqual(journaled, Journaled(have(0, 3), PLACE, STAMPS, None))
        else:
            self.assertIsNone(journaled)
