"""What every IStorage must obey; mix it into a TestCase that says how one is made.

class TestMine(StorageContract, SynchronousTestCase):
    def make_storage(self, info):
        return Mine(info)
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from zope.interface.verify import verifyObject

from bittwist.errors import BitTwistError
from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import IStorage, MissingData
from tests.storage.torrents import content_of, make_info, pieces_of

PIECE = 32768
FILES = [("a", 10_000), ("empty", 0), ("b/c", 50_000), ("b/d", 1), ("pad", 7_999, "p"), ("e", 100_000)]


def content_with_padding() -> bytes:
    content = bytearray(content_of(sum(file[1] for file in FILES)))
    content[60_001:68_000] = bytes(7_999)
    return bytes(content)


class StorageContract:
    """`make_storage` gives a new storage, of which nothing was written yet."""

    def make_storage(self, info: Info) -> IStorage:
        raise NotImplementedError

    def setUp(self) -> None:
        self.content = content_with_padding()
        self.info = make_info(self.content, FILES, piece_length=PIECE)
        self.pieces = pieces_of(self.info, self.content)
        self.storage = self.make_storage(self.info)
        self.addCleanup(self.storage.close)

    def read(self, index: int, begin: int, length: int) -> bytes:
        buffer = bytearray(b"\xee" * length)
        self.storage.read_into(index, begin, memoryview(buffer))
        return bytes(buffer)

    def fill(self) -> None:
        self.storage.prepare()
        for index, piece in enumerate(self.pieces):
            self.storage.write(index, 0, memoryview(piece))

    def test_it_has_the_interface(self) -> None:
        verifyObject(IStorage, self.storage)

    def test_a_piece_that_was_written_is_read_back(self) -> None:
        self.fill()
        for index, piece in enumerate(self.pieces):
            self.assertEqual(self.read(index, 0, len(piece)), piece)

    def test_any_part_of_a_piece_is_read(self) -> None:
        self.fill()
        for begin, length in [(0, 1), (9_999, 2), (16_384, 16_384), (27_232, 5_536), (32_767, 1)]:
            self.assertEqual(self.read(1, begin, length), self.pieces[1][begin : begin + length])

    def test_parts_written_in_any_order_make_the_piece(self) -> None:
        self.storage.prepare()
        piece = self.pieces[1]
        for begin in (16_384, 0):
            self.storage.write(1, begin, memoryview(piece)[begin : begin + 16_384])
        self.assertEqual(self.read(1, 0, len(piece)), piece)

    def test_what_was_never_written_is_missing_or_zeros(self) -> None:
        self.storage.prepare()
        try:
            self.assertEqual(self.read(2, 0, PIECE), bytes(PIECE))
        except MissingData:
            pass

    def test_what_was_never_prepared_is_missing(self) -> None:
        self.assertRaises(MissingData, self.read, 0, 0, PIECE)

    def test_a_piece_is_a_hole_until_it_is_written(self) -> None:
        self.assertTrue(self.storage.holes(0))
        self.storage.prepare()
        self.assertTrue(self.storage.holes(0))
        self.storage.write(0, 0, memoryview(self.pieces[0]))
        self.assertFalse(self.storage.holes(0))
        self.assertTrue(self.storage.holes(3))

    def test_it_is_occupied_once_something_was_written(self) -> None:
        self.assertFalse(self.storage.occupied())
        self.fill()
        self.assertTrue(self.storage.occupied())

    def test_preparing_again_changes_nothing(self) -> None:
        self.fill()
        self.storage.prepare()
        self.assertEqual(self.read(1, 0, PIECE), self.pieces[1])

    def test_there_is_a_stamp_for_each_file_and_it_changes_when_the_file_is_written(self) -> None:
        self.assertEqual(len(self.storage.stamps()), len(FILES))
        self.fill()
        self.storage.sync()
        before = self.storage.stamps()
        self.assertEqual(before, self.storage.stamps())
        self.assertEqual(
            [stamp.size for stamp in (before[0], before[2], before[5]) if stamp], [10_000, 50_000, 100_000]
        )

    def test_it_has_a_place_once_prepared(self) -> None:
        self.storage.prepare()
        self.assertIsNotNone(self.storage.place())
        self.assertEqual(self.storage.place(), self.storage.place())

    def test_sync_and_close_lose_nothing(self) -> None:
        self.fill()
        self.storage.sync()
        self.storage.sync(everything=True)
        self.storage.close()
        self.storage.close()
        self.assertEqual(self.read(4, 0, len(self.pieces[4])), self.pieces[4])

    def test_bytes_outside_a_piece_are_refused(self) -> None:
        self.fill()
        for index, begin, length in [(0, PIECE - 1, 2), (-1, 0, 1), (6, 0, 1), (0, -1, 1)]:
            self.assertRaises((BitTwistError, IndexError), self.read, index, begin, length)

    # Files that are skipped: 0 ("a") shares piece 0 with "b/c", and 3 ("b/d") shares piece 1 with it.

    def test_a_skipped_file_is_not_there_and_pieces_with_bytes_of_it_are(self) -> None:
        self.storage.prepare(frozenset({0, 3, 5}))
        for index in (0, 1):
            self.storage.write(index, 0, memoryview(self.pieces[index]))
        self.storage.sync()
        there = [stamp is not None for stamp in self.storage.stamps()]
        self.assertEqual([there[file] for file in (0, 1, 2, 3, 5)], [False, True, True, False, False])
        self.assertIsNotNone(self.storage.part_stamp())
        for index in (0, 1):
            self.assertEqual(self.read(index, 0, PIECE), self.pieces[index])
            self.assertEqual(self.read(index, 9_000, 5_000), self.pieces[index][9_000:14_000])
            self.assertFalse(self.storage.holes(index))
        self.assertTrue(self.storage.holes(3))

    def test_what_was_kept_of_a_file_is_in_it_when_it_is_made(self) -> None:
        self.storage.prepare(frozenset({0, 3}))
        for index in (0, 1):
            self.storage.write(index, 0, memoryview(self.pieces[index]))
        self.storage.prepare(frozenset({0}))
        self.assertIsNone(self.storage.stamps()[0])
        self.assertIsNotNone(self.storage.stamps()[3])
        self.storage.prepare()
        self.assertIsNotNone(self.storage.stamps()[0])
        self.assertIsNone(self.storage.part_stamp())
        for index in (0, 1):
            self.assertEqual(self.read(index, 0, PIECE), self.pieces[index])
        self.fill()
        self.storage.sync()
        for index, piece in enumerate(self.pieces):
            self.assertEqual(self.read(index, 0, len(piece)), piece)

    def test_a_file_that_was_made_stays_when_it_is_skipped(self) -> None:
        self.fill()
        before = self.storage.stamps()
        self.storage.prepare(frozenset(range(len(FILES))))
        self.assertEqual(self.storage.stamps(), before)
        self.assertIsNone(self.storage.part_stamp())
        self.assertEqual(self.read(0, 0, PIECE), self.pieces[0])

    def test_a_renamed_file_is_read_and_written_as_before(self) -> None:
        self.storage.prepare()
        self.storage.write(0, 0, memoryview(self.pieces[0]))
        self.storage.rename(2, PurePosixPath("share/other/name"))
        self.storage.write(1, 0, memoryview(self.pieces[1]))
        self.storage.sync()
        self.assertEqual(self.read(0, 0, PIECE), self.pieces[0])
        self.assertEqual(self.read(1, 0, PIECE), self.pieces[1])

    def test_nothing_is_taken_over_from_where_nothing_is(self) -> None:
        folder = Path("/nowhere at all")
        self.assertEqual(list(self.storage.take_over(folder, [PurePosixPath("x")] * len(FILES))), [])

    def test_what_is_forgotten_is_what_is_kept_of_files_that_are_not_there(self) -> None:
        self.storage.prepare(frozenset({0}))
        self.storage.write(0, 0, memoryview(self.pieces[0]))
        self.storage.write(1, 0, memoryview(self.pieces[1]))
        self.storage.forget()
        self.assertIsNone(self.storage.part_stamp())
        self.assertEqual(self.read(1, 0, PIECE), self.pieces[1])
