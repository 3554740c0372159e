"""Skipped files: none of them is made; what pieces hold of them is neither lost nor believed too easily."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bittwist.errors import DiskFull, StorageError
from bittwist.metainfo.info import Info
from bittwist.storage.disk import Store
from bittwist.storage.files import FileStorage
from bittwist.storage.parts import PartLayout
from bittwist.storage.resume import Journal
from tests.scale import SEED, runs
from tests.storage.cases import StoreTestCase
from tests.storage.sudden import everywhere
from tests.storage.test_files import InFolder
from tests.storage.torrents import content_of, make_info, pieces_of

PIECE = 16384
FILES = [("a", 40_000), ("b", 100), ("empty", 0), ("c", 20_000), ("d", 60_000)]
CONTENT = content_of(sum(size for _, size in FILES))
INFO = make_info(CONTENT, FILES, piece_length=PIECE)
PIECES = pieces_of(INFO, CONTENT)
A, B, EMPTY, C, D = range(5)


def parts_of(save: Path, info: Info = INFO) -> Path:
    return save / ".bittwist" / f"{info.info_hash}.parts"


class Layouts(SynchronousTestCase):
    def test_pieces_with_more_than_one_file_have_slots_in_their_order(self) -> None:
        self.assertEqual(PartLayout(INFO).slots, {2: 0, 3: 1})  # a, b and c are in piece 2; c and d in 3

    def test_padding_shares_nothing(self) -> None:
        files = [("a", 20_000), ("pad", 12_768, "p"), ("b", 100)]
        self.assertEqual(PartLayout(make_info(content_of(32_868), files, piece_length=PIECE)).slots, {})

    @given(st.lists(st.integers(0, 60), min_size=1, max_size=12))
    def test_every_piece_of_more_than_one_file_has_one_slot(self, sizes: list[int]) -> None:
        info = make_info(
            content_of(sum(sizes)), [(str(at), size) for at, size in enumerate(sizes)], piece_length=10
        )
        geometry = info.geometry
        shared = [
            index
            for index in range(geometry.num_pieces)
            if len(geometry.spans(index, 0, geometry.piece_size(index))) > 1
        ]
        layout = PartLayout(info)
        assert layout.slots == {index: slot for slot, index in enumerate(shared)}
        for file in range(len(sizes)):
            assert set(layout.shared(file)) == set(shared) & set(geometry.pieces_of_file(file))


class Files(InFolder):
    def setUp(self) -> None:
        self.save = self.make_folder() / "save"
        self.storage = FileStorage(self.save, INFO)
        self.addCleanup(lambda: self.storage.close())

    def write(self, *indices: int) -> None:
        for index in indices:
            self.storage.write(index, 0, memoryview(PIECES[index]))

    def read(self, index: int) -> bytes:
        buffer = bytearray(len(PIECES[index]))
        self.storage.read_into(index, 0, memoryview(buffer))
        return bytes(buffer)

    def there(self) -> list[str]:
        return sorted(str(path.relative_to(self.save)) for path in self.save.rglob("*") if path.is_file())

    def test_nothing_is_written_for_skipped_files_but_what_wanted_pieces_bring(self) -> None:
        self.storage.prepare(frozenset({A, B, EMPTY, D}))
        self.assertEqual(self.there(), ["share/c"])
        self.write(2, 3)
        self.assertEqual(self.there(), [str(parts_of(self.save).relative_to(self.save)), "share/c"])
        self.assertEqual((self.save / "share/c").read_bytes(), CONTENT[40_100:60_100])
        self.assertLessEqual(parts_of(self.save).stat().st_size, 2 * PIECE)

    def test_the_part_file_goes_with_the_last_file_that_needed_it_and_its_folder_too(self) -> None:
        self.storage.prepare(frozenset({A, D}))
        self.write(2, 3)
        self.storage.prepare(frozenset({A}))
        self.assertTrue(parts_of(self.save).exists())
        self.storage.prepare()
        self.assertFalse((self.save / ".bittwist").exists())
        self.assertEqual([self.read(2), self.read(3)], PIECES[2:4])

    def test_without_need_there_is_no_part_file(self) -> None:
        self.storage.prepare()
        self.write(*range(len(PIECES)))
        self.storage.prepare(frozenset({A}))
        self.write(2)
        self.assertFalse((self.save / ".bittwist").exists())

    def test_a_file_that_appeared_by_itself_is_not_written_over(self) -> None:
        self.storage.prepare(frozenset({A}))
        self.write(2)
        (self.save / "share/a").write_bytes(b"precious")
        self.assertRaises(StorageError, self.storage.prepare)
        self.assertEqual((self.save / "share/a").read_bytes(), b"precious")
        self.assertEqual(self.read(2), PIECES[2])

    def test_a_disk_without_room_leaves_the_part_file_as_it_was_and_no_file(self) -> None:
        self.storage.prepare(frozenset({A}))
        self.write(2)
        full = mock.patch.object(os, "pwrite", side_effect=OSError(28, "No space left on device"))
        with full:
            self.assertRaises(DiskFull, self.storage.prepare)
        self.assertNotIn("share/a", self.there())
        self.assertEqual(len(self.there()), 5)  # b, empty, c, d and the part file: nothing unfinished
        self.assertEqual(self.read(2), PIECES[2])
        self.storage.prepare()
        self.assertEqual(self.read(2), PIECES[2])

    def test_a_kill_at_any_moment_of_making_a_file_loses_nothing(self) -> None:
        def prepare() -> None:
            self.save = self.make_folder() / "save"
            self.storage = FileStorage(self.save, INFO)
            self.storage.prepare(frozenset({A, B, D}))
            self.write(2, 3)
            self.storage.sync()

        def after(at: int) -> None:
            self.storage.close()
            self.storage = FileStorage(self.save, INFO)
            self.assertEqual([self.read(2), self.read(3)], PIECES[2:4], f"killed at {at}")
            self.storage.prepare()
            self.assertEqual([self.read(2), self.read(3)], PIECES[2:4], f"killed at {at}")
            self.assertEqual(self.there(), ["share/a", "share/b", "share/c", "share/d", "share/empty"])
            self.storage.close()

        self.assertGreater(everywhere(lambda: self.storage.prepare(), prepare, after), 10)

    def test_at_random_every_piece_that_was_written_is_read_back(self) -> None:
        for seed in range(SEED, SEED + runs(30, 1000)):
            random = Random(seed)
            self.save = self.make_folder() / "save"
            self.storage = FileStorage(self.save, INFO)
            skipped = frozenset(range(5))
            self.storage.prepare(skipped)
            ever: set[int] = set()
            written: set[int] = set()
            for _ in range(12):
                skipped = frozenset(file for file in range(5) if random.random() < 0.6)
                ever |= set(range(5)) - skipped
                self.storage.prepare(skipped)
                wanted = [
                    index
                    for index in range(len(PIECES))
                    if any(
                        span.file not in skipped for span in INFO.geometry.spans(index, 0, len(PIECES[index]))
                    )
                ]
                for index in random.sample(wanted, min(len(wanted), 2)):
                    self.write(index)
                    written.add(index)
                if random.random() < 0.3:
                    self.storage.sync()
                    self.storage.close()
                for index in written:
                    self.assertEqual(self.read(index), PIECES[index], f"seed {seed}")
                made = {name for name in self.there() if name.startswith("share/")}
                self.assertEqual(made, {f"share/{FILES[file][0]}" for file in ever}, f"seed {seed}")
            self.storage.close()


class Restarting(StoreTestCase):
    """What is believed of the part file after a stop, and after a crash."""

    def setUp(self) -> None:
        super().setUp()
        self.save = self.root / "save"

    def open(self, *skipped: int) -> Store:
        store = self.disk.open(FileStorage(self.save, INFO), INFO, Journal(self.root / "journal"))
        store.skipped = frozenset(skipped)
        return store

    def download(self, *indices: int, skipped: tuple[int, ...], stop: bool) -> None:
        store = self.open(*skipped)
        self.fire(store.start())
        for index in indices:
            self.assertTrue(self.fire(store.keep(index, memoryview(PIECES[index]))).good)
        if stop:
            self.fire(store.close())
        else:
            self.reactor.advance(10)
            self.reactor.turn()
        self.boot()

    def restart(self, *skipped: int) -> tuple[list[int], int]:
        recovered = self.fire(self.open(*skipped).start())
        return list(recovered.have), recovered.checked

    def test_after_a_clean_stop_nothing_is_hashed(self) -> None:
        self.download(2, 3, skipped=(A, D), stop=True)
        self.assertEqual(self.restart(A, D), ([2, 3], 0))

    def test_after_a_crash_only_what_the_journal_cannot_vouch_for_is_hashed(self) -> None:
        self.download(2, 3, skipped=(A, D), stop=False)
        self.assertEqual(self.restart(A, D)[0], [2, 3])
        self.boot()
        self.assertEqual(self.restart(A, D), ([2, 3], 0))  # the part file was there at that start

    def test_a_part_file_that_is_gone_is_not_believed_to_be_there(self) -> None:
        for stop in (True, False):
            self.download(2, 3, skipped=(A, D), stop=stop)
            parts_of(self.save).unlink()
            self.assertEqual(self.restart(A, D)[0], [])
            self.boot()

    def test_a_part_file_that_changed_is_hashed(self) -> None:
        self.download(2, 3, skipped=(A, D), stop=True)
        with parts_of(self.save).open("r+b") as file:
            file.seek(100)
            file.write(b"other")
        self.assertEqual(self.restart(A, D)[0], [3])

    def test_a_file_that_was_deleted_does_not_make_the_part_file_believed(self) -> None:
        self.download(2, 3, skipped=(D,), stop=True)  # what is in slot 0 of the part file is a hole
        (self.save / "share/a").unlink()
        self.assertEqual(self.restart(A, D)[0], [3])

    def test_what_was_kept_is_there_when_more_is_wanted_at_the_next_start(self) -> None:
        for stop in (True, False):
            self.download(2, 3, skipped=(A, D), stop=stop)
            self.assertEqual(self.restart()[0], [2, 3])
            self.boot()
            self.assertEqual(self.restart()[0], [2, 3])
            self.boot()

    def test_files_that_were_selected_while_running_are_vouched_for_after_a_crash(self) -> None:
        store = self.open(A, D)
        self.fire(store.start())
        self.fire(store.keep(3, memoryview(PIECES[3])))
        self.fire(store.select(frozenset({A})))
        for index in (4, 5):
            self.fire(store.keep(index, memoryview(PIECES[index])))
        self.reactor.advance(10)
        self.reactor.turn()
        self.boot()
        self.assertEqual(self.restart(A), ([3, 4, 5], 1))  # the one that c begins in was never written

    def test_a_selection_before_the_start_is_what_the_start_makes(self) -> None:
        store = self.open()
        self.fail_with(store.select(frozenset({A})), StorageError)
        store.skipped = frozenset({A})
        self.fire(store.start())
        self.assertFalse((self.save / "share/a").exists())
        self.assertEqual(store.laid_out, {A})

    def test_a_selection_that_cannot_be_made_is_told(self) -> None:
        store = self.open(A)
        self.fire(store.start())
        (self.save / "share/a").write_bytes(b"precious")
        self.fail_with(store.select(frozenset()), StorageError)
        self.assertEqual(store.laid_out, {A})
