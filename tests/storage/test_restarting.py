"""What a Store finds after it was stopped, or was not (SECURITY.md F1-F3, T33)."""

from __future__ import annotations

import errno
import os
from unittest import mock

from twisted.internet.defer import CancelledError

from bittwist.errors import DiskFull, LocalProtocolError, StorageError
from bittwist.storage.disk import Store
from bittwist.storage.files import FileStorage
from bittwist.storage.resume import Journal
from tests.storage.cases import CONTENT, StoreTestCase
from tests.storage.fakes import Later
from tests.storage.torrents import make_info


class Restarting(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.save = self.root / "save"
        self.file = self.save / "share" / "b" / "d"
        self.boot()

    def open(self) -> Store:
        return self.disk.open(FileStorage(self.save, self.info), self.info, Journal(self.root / "journal"))

    def download(self, *indices: int, stop: bool = True) -> None:
        store = self.open()
        self.fire(store.start())
        for index in indices or range(4):
            self.assertTrue(self.fire(store.keep(index, memoryview(self.pieces[index]))).good)
        if stop:
            self.fire(store.close())
        else:
            self.reactor.advance(10)
            self.reactor.turn()
        self.boot()

    def run_all(self) -> None:
        while self.reactor.pool.waiting or self.reactor.replies:
            self.reactor.pool.run()
            self.reactor.turn()

    def restart(self, **how: bool) -> tuple[list[int], int]:
        store = self.open()
        recovered = self.fire(store.start(**how))
        self.assertEqual(recovered.have, store.have)
        return list(recovered.have), recovered.checked

    def flip(self, at: int) -> None:
        with self.file.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))
        os.utime(self.file, ns=(1, 1))  # the clock may not have moved on since

    def test_after_a_clean_stop_nothing_is_hashed(self) -> None:
        self.download(0, 2)
        self.assertEqual(self.restart(), ([0, 2], 0))

    def test_bytes_flipped_while_stopped_are_not_served(self) -> None:
        self.download()
        self.flip(60_000)
        self.assertEqual(self.restart(), ([0, 1, 2], 3))

    def test_after_a_crash_a_file_that_was_replaced_is_hashed(self) -> None:
        self.download(stop=False)
        content = bytearray(self.file.read_bytes())
        content[60_000] ^= 1
        (self.save / "new").write_bytes(content)
        (self.save / "new").replace(self.file)
        self.assertEqual(self.restart(), ([0, 1, 2], 3))

    def test_after_a_crash_a_file_that_shrank_is_wanted_again(self) -> None:
        self.download(stop=False)
        os.truncate(self.file, 60_000)
        self.assertEqual(self.restart(), ([0, 1, 2], 1))

    def test_a_deleted_file_is_wanted_again(self) -> None:
        self.download()
        self.file.unlink()
        self.assertEqual(self.restart(), ([0], 1))
        self.assertEqual(self.file.stat().st_size, 0)

    def test_a_save_folder_that_is_gone_is_an_error_and_is_not_made(self) -> None:
        self.download()
        self.save.rename(self.root / "elsewhere")
        self.fail_with(self.open().start(), StorageError)
        self.assertFalse(self.save.exists())

    def test_an_empty_mount_point_is_an_error_and_stays_empty(self) -> None:
        self.download()
        self.save.rename(self.root / "elsewhere")
        self.save.mkdir()
        store = self.open()
        self.fail_with(store.start(), StorageError)
        self.assertEqual(list(self.save.iterdir()), [])
        self.save.rmdir()
        (self.root / "elsewhere").rename(self.save)  # and when it is back, all is well
        self.assertTrue(self.fire(store.start()).have.complete)

    def test_without_a_journal_what_is_there_is_found_by_its_hash(self) -> None:
        self.download()
        (self.root / "journal").unlink()
        self.assertEqual(self.restart(), ([0, 1, 2, 3], 4))

    def test_holes_are_not_read(self) -> None:
        self.info = make_info(
            self.content
        )  # of one file, so that its pieces begin where the disk's blocks do
        self.download(0, 3)
        (self.root / "journal").unlink()
        storage = FileStorage(self.save, self.info)
        read: list[int] = []
        read_into = storage.read_into
        storage.read_into = lambda index, begin, view: read.append(index) or read_into(index, begin, view)
        self.fire(self.disk.open(storage, self.info).start())
        self.assertNotIn(2, read)

    def test_files_that_nothing_vouches_for_are_not_written_over_unless_forced(self) -> None:
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(b"something of mine")
        error = self.fail_with(self.open().start(), StorageError)
        self.assertIn("share/b/d", str(error))
        self.assertEqual(self.file.read_bytes(), b"something of mine")
        self.assertEqual(self.restart(force=True), ([], 1))

    def test_a_recheck_believes_nothing(self) -> None:
        self.download()
        store = self.open()
        self.fire(store.start())
        self.flip(60_000)
        seen: list[tuple[int, int]] = []
        recovered = self.fire(store.recheck(lambda done, total: seen.append((done, total))))
        self.assertEqual((list(recovered.have), recovered.checked), ([0, 1, 2], 4))
        self.assertEqual(seen[-1], (len(self.content), len(self.content)))
        self.assertTrue(self.fire(store.keep(3, memoryview(self.pieces[3]))).good)
        self.fire(store.close())
        self.boot()
        self.assertEqual(self.restart(), ([0, 1, 2, 3], 0))

    def test_a_piece_a_peer_calls_bad_is_looked_at_again(self) -> None:
        self.download()
        store = self.open()
        self.fire(store.start())
        self.fire(store.read(3, 0, 1))
        self.flip(60_000)
        self.assertTrue(self.fire(store.check(2)))
        self.assertFalse(self.fire(store.check(3)))
        self.assertIsNone(store.cached(3, 0, 1))
        self.fail_with(store.read(3, 0, 1), LocalProtocolError)
        self.fire(store.close())
        self.boot()
        self.assertEqual(self.restart(), ([0, 1, 2], 0))

    def test_a_piece_of_zeros_in_a_hole_is_right(self) -> None:
        self.content = bytes(len(CONTENT))
        self.info = make_info(self.content, [("a", 40_000), ("b/c", 0), ("b/d", len(self.content) - 40_000)])
        for name, size in (("a", 40_000), ("b/c", 0), ("b/d", len(self.content) - 40_000)):
            path = self.save / "share" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.truncate(size)
        self.assertEqual(self.restart()[0], [0, 1, 2, 3])

    def test_closing_while_it_checks_ends_the_check(self) -> None:
        self.download()
        (self.root / "journal").unlink()
        self.reactor.pool = Later()
        store = self.open()
        starting = store.start()
        closing = store.close()
        self.run_all()
        self.successResultOf(closing)
        self.failureResultOf(starting, CancelledError)

    def test_stopping_the_disk_closes_every_torrent_cleanly(self) -> None:
        store = self.open()
        self.fire(store.start())
        answer = store.keep(1, memoryview(self.pieces[1]))
        self.fire(self.disk.stop())
        self.assertTrue(self.successResultOf(answer).good)
        self.assertRaises(LocalProtocolError, self.open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.boot()
        self.assertEqual(self.restart(), ([1], 0))

    def test_what_was_kept_while_it_closed_is_in_the_journal(self) -> None:
        store = self.open()
        self.fire(store.start())
        self.reactor.pool = Later()
        answer = store.keep(2, memoryview(self.pieces[2]))
        closing = store.close()
        self.run_all()
        self.assertTrue(self.successResultOf(answer).good)
        self.successResultOf(closing)
        self.boot()
        self.assertEqual(self.restart(), ([2], 0))


class NoRoomAtFirst(StoreTestCase):
    def test_files_made_before_the_room_ended_are_ours_when_it_is_tried_again(self) -> None:
        def no_room(fd: int, offset: int, size: int) -> None:
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, "No space left on device")

        for again in (False, True):
            storage = FileStorage(self.root, self.info, allocation="full")
            store = self.disk.open(storage, self.info, Journal(self.root / "journal"))
            with mock.patch("os.posix_fallocate", no_room):
                self.fail_with(store.start(), DiskFull)
            if again:
                self.assertEqual(self.fire(store.start()).have.count, 0)
            self.fire(store.close())
