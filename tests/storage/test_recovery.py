"""What vouches for a piece: a table of what can have happened to the files meanwhile."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.geometry import Geometry
from bittwist.storage.interfaces import FileStamp, Place
from bittwist.storage.recovery import check_place, plan, strangers
from bittwist.storage.resume import Journaled

# Pieces of 10: file 0 is in pieces 0-2 (25 bytes), file 1 in 2-3 (10), file 2 is empty, file 3 in 3-5 (25).
GEOMETRY = Geometry(10, 60, (25, 10, 0, 25))
STAMPS = tuple(FileStamp(size, 100 + n, 10 + n, 1) for n, size in enumerate(GEOMETRY.file_sizes))
PLACE = Place(1, 2)


def have(*indices: int) -> Bitfield:
    bitfield = Bitfield(6)
    for index in indices:
        bitfield.add(index)
    return bitfield


def stamps(**changed: FileStamp | None) -> tuple[FileStamp | None, ...]:
    return tuple(changed.get(f"f{n}", stamp) for n, stamp in enumerate(STAMPS))


class Vouching(SynchronousTestCase):
    def assertPlan(self, journaled, now, trusted, doubtful, *, check=False) -> None:
        found = plan(GEOMETRY, journaled, now, check=check)
        self.assertEqual((list(found.trusted), list(found.doubtful)), (list(trusted), list(doubtful)))

    def stopped(self, *indices: int) -> Journaled:
        return Journaled(have(*indices), PLACE, STAMPS, STAMPS)

    def crashed(self, *indices: int) -> Journaled:
        return Journaled(have(*indices), PLACE, STAMPS, None)

    def test_without_a_journal_all_that_may_be_there_is_hashed(self) -> None:
        self.assertPlan(None, STAMPS, (), range(6))

    def test_without_a_journal_what_cannot_be_there_is_not_hashed(self) -> None:
        self.assertPlan(None, (None, None, None, None), (), ())
        self.assertPlan(None, stamps(f0=replace(STAMPS[0], size=11), f1=None, f3=None), (), (0, 1))

    def test_a_longer_file_does_not_make_its_neighbours_be_there(self) -> None:
        self.assertPlan(None, stamps(f0=replace(STAMPS[0], size=99), f1=None, f3=None), (), (0, 1, 2))

    def test_after_a_clean_stop_untouched_files_need_no_look(self) -> None:
        self.assertPlan(self.stopped(0, 1, 5), STAMPS, (0, 1, 5), ())

    def test_after_a_clean_stop_a_changed_mtime_means_a_look_at_its_pieces(self) -> None:
        now = stamps(f1=replace(STAMPS[1], mtime_ns=1))
        self.assertPlan(self.stopped(0, 1, 2, 5), now, (0, 1, 5), (2, 3))

    def test_after_a_clean_stop_a_changed_size_means_a_look_at_its_pieces(self) -> None:
        now = stamps(f3=replace(STAMPS[3], size=24))
        self.assertPlan(self.stopped(*range(6)), now, (0, 1, 2), (3, 4, 5))

    def test_after_a_clean_stop_a_copy_with_the_same_times_is_as_good(self) -> None:
        now = tuple(replace(stamp, inode=stamp.inode + 50, device=9) for stamp in STAMPS)
        self.assertPlan(self.stopped(0, 1), now, (0, 1), ())

    def test_after_a_clean_stop_a_missing_file_takes_its_pieces_with_it(self) -> None:
        self.assertPlan(self.stopped(*range(6)), stamps(f0=None), (3, 4, 5), (2,))

    def test_after_a_crash_a_record_holds_and_the_rest_is_hashed(self) -> None:
        self.assertPlan(self.crashed(0, 5), STAMPS, (0, 5), (1, 2, 3, 4))

    def test_after_a_crash_the_mtime_says_nothing(self) -> None:
        now = tuple(replace(stamp, mtime_ns=7) for stamp in STAMPS)
        self.assertPlan(self.crashed(0, 5), now, (0, 5), (1, 2, 3, 4))

    def test_after_a_crash_another_inode_is_another_file(self) -> None:
        self.assertPlan(
            self.crashed(*range(6)), stamps(f1=replace(STAMPS[1], inode=99)), (0, 1, 4, 5), (2, 3)
        )

    def test_after_a_crash_a_file_that_shrank_has_lost_its_end(self) -> None:
        now = stamps(f0=replace(STAMPS[0], size=15))
        self.assertPlan(self.crashed(*range(6)), now, (0, 3, 4, 5), (1, 2))

    def test_a_check_trusts_nothing(self) -> None:
        self.assertPlan(self.stopped(*range(6)), STAMPS, (), range(6), check=True)

    def test_padding_without_a_file_takes_nothing_away(self) -> None:
        padded = stamps(f1=None)
        self.assertPlan(Journaled(have(2, 3), PLACE, padded, padded), padded, (2, 3), ())
        self.assertPlan(Journaled(have(2, 3), PLACE, padded, None), padded, (2, 3), (0, 1, 4, 5))


class TheFolder(SynchronousTestCase):
    journaled = Journaled(have(0), PLACE, STAMPS, None)

    def test_without_a_journal_any_folder_will_do(self) -> None:
        check_place("save", None, None, (None,) * 4)

    def test_a_folder_that_is_gone_is_an_error(self) -> None:
        self.assertRaises(StorageError, check_place, "save", self.journaled, None, (None,) * 4)

    def test_another_folder_without_the_files_is_an_error(self) -> None:
        self.assertRaises(StorageError, check_place, "save", self.journaled, Place(1, 9), stamps(f0=None))

    def test_another_folder_with_the_files_is_the_folder_moved(self) -> None:
        check_place("save", self.journaled, Place(1, 9), STAMPS)

    def test_files_may_be_deleted_from_the_same_folder(self) -> None:
        check_place("save", self.journaled, PLACE, (None,) * 4)


class Strangers(SynchronousTestCase):
    def test_a_file_without_a_right_piece_is_a_stranger(self) -> None:
        self.assertEqual(strangers(GEOMETRY, None, have(0), STAMPS), [1, 3])

    def test_empty_and_missing_files_are_none(self) -> None:
        self.assertEqual(
            strangers(GEOMETRY, None, have(), stamps(f0=None, f1=replace(STAMPS[1], size=0), f3=None)), []
        )

    def test_a_file_the_journal_knows_is_none(self) -> None:
        journaled = Journaled(have(), PLACE, STAMPS, None)
        self.assertEqual(strangers(GEOMETRY, journaled, have(), STAMPS), [])

    def test_a_file_put_in_the_place_of_a_known_one_is(self) -> None:
        journaled = Journaled(have(), PLACE, STAMPS, None)
        now = stamps(f0=replace(STAMPS[0], inode=77))
        self.assertEqual(strangers(GEOMETRY, journaled, have(), now), [0])

    def test_a_copy_of_a_cleanly_stopped_one_is_not(self) -> None:
        journaled = Journaled(have(), PLACE, STAMPS, STAMPS)
        now = tuple(replace(stamp, inode=stamp.inode + 50) for stamp in STAMPS)
        self.assertEqual(strangers(GEOMETRY, journaled, have(), now), [])
