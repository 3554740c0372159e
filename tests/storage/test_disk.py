"""Disk and Store: whole pieces in, blocks out, and what happens around that."""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from bittwist.errors import LocalProtocolError, StorageError
from bittwist.metainfo.info import Info
from bittwist.storage.assembler import Assembler
from bittwist.storage.disk import DiskSettings, Kept
from bittwist.storage.files import FileStorage
from bittwist.storage.memory import MemoryStorage
from bittwist.storage.readahead import ReadMemory
from bittwist.storage.resume import Journal
from bittwist.storage.verifier import block_digests
from tests.storage.cases import StoreTestCase
from tests.storage.fakes import Later
from tests.storage.torrents import make_info


class Keeping(StoreTestCase):
    def test_pieces_kept_are_files_on_disk(self) -> None:
        store = self.started(FileStorage(self.root, self.info))
        assembler = Assembler(self.info.geometry)
        for index, piece in enumerate(self.pieces):
            for begin, length in self.info.geometry.blocks(index):
                assembler.buffer(index)[begin : begin + length] = piece[begin : begin + length]
            view = assembler.take(index)
            self.assertEqual(self.fire(store.keep(index, view)), Kept(True))
            assembler.release(view)
        self.assertTrue(store.have.complete)
        self.fire(store.close())
        self.assertEqual((self.root / "share/a").read_bytes(), self.content[:40_000])
        self.assertEqual((self.root / "share/b/c").read_bytes(), b"")
        self.assertEqual((self.root / "share/b/d").read_bytes(), self.content[40_000:])

    def test_a_bad_piece_is_not_written_and_its_blocks_are_told_apart(self) -> None:
        storage = MemoryStorage(self.info)
        store = self.started(storage)
        bad = bytearray(self.pieces[1])
        bad[20_000] ^= 1
        kept = self.fire(store.keep(1, memoryview(bad)))
        self.assertFalse(kept.good)
        right = block_digests(self.pieces[1])
        self.assertEqual([one == two for one, two in zip(kept.digests, right)], [True, False])
        self.assertTrue(storage.holes(1))
        self.assertNotIn(1, store.have)

    def test_digests_of_a_good_piece_come_when_asked_for(self) -> None:
        store = self.started(MemoryStorage(self.info))
        kept = self.fire(store.keep(1, memoryview(self.pieces[1]), digests=True))
        self.assertEqual(kept, Kept(True, block_digests(self.pieces[1])))

    def test_nothing_is_kept_or_read_before_the_start_or_after_the_close(self) -> None:
        store = self.disk.open(MemoryStorage(self.info), self.info)
        self.fail_with(store.keep(0, memoryview(self.pieces[0])), StorageError)
        self.fail_with(store.read(0, 0, 1), StorageError)
        self.fire(store.start())
        self.fire(store.close())
        self.fail_with(store.keep(0, memoryview(self.pieces[0])), StorageError)
        self.fail_with(store.check(0), StorageError)
        self.fail_with(store.close(), LocalProtocolError)
        self.fail_with(store.start(), LocalProtocolError)


class BackPressure(StoreTestCase):
    settings = DiskSettings(high_water=70_000, low_water=40_000, threads=1)

    def setUp(self) -> None:
        super().setUp()
        self.store = self.started(MemoryStorage(self.info))
        self.reactor.pool = Later()
        self.told: list[str] = []
        self.unwatch = self.disk.watch(lambda: self.told.append("pause"), lambda: self.told.append("resume"))

    def test_peers_pause_above_the_high_mark_and_resume_below_the_low_one(self) -> None:
        kept = [self.store.keep(index, memoryview(self.pieces[index])) for index in (0, 1)]
        self.assertEqual((self.told, self.disk.pending), ([], 65_536))
        kept.append(self.store.keep(2, memoryview(self.pieces[2])))
        self.assertEqual((self.told, self.disk.behind), (["pause"], True))
        self.reactor.pool.run()
        self.assertEqual(self.told, ["pause"])
        self.reactor.turn()
        self.assertEqual((self.told, self.disk.pending), (["pause", "resume"], 0))
        for answer in kept:
            self.assertTrue(self.successResultOf(answer).good)

    def test_who_watches_late_is_told_and_who_ended_it_is_not(self) -> None:
        for index in range(3):
            self.store.keep(index, memoryview(self.pieces[index]))
        late: list[str] = []
        self.disk.watch(lambda: late.append("pause"), lambda: late.append("resume"))
        self.unwatch()
        self.reactor.pool.run()
        self.reactor.turn()
        self.assertEqual((late, self.told), (["pause", "resume"], ["pause"]))

    def test_no_more_threads_run_than_allowed_and_replies_wake_the_reactor_once(self) -> None:
        for index in range(3):
            self.store.keep(index, memoryview(self.pieces[index]))
        self.assertEqual(len(self.reactor.pool.waiting), 1)
        self.reactor.pool.run()
        self.assertEqual(len(self.reactor.replies), 1)

    def test_a_failure_to_write_is_no_longer_pending(self) -> None:
        def write(index: int, begin: int, view: memoryview) -> None:
            raise StorageError("share", "broken")

        self.store._storage.write = write
        answer = self.store.keep(0, memoryview(self.pieces[0]))
        self.reactor.pool.run()
        self.fail_with(answer, StorageError)
        self.assertEqual(self.disk.pending, 0)


class Reading(StoreTestCase):
    def test_a_block_is_read_and_its_neighbours_are_cached(self) -> None:
        store, storage = self.seed()
        self.assertIsNone(store.cached(1, 16384, 16384))
        self.assertEqual(self.fire(store.read(1, 0, 16384)), self.content[32768 : 32768 + 16384])
        self.assertEqual(store.cached(1, 16384, 16384), self.content[49152:65536])
        self.assertEqual((storage.reads, storage.bytes_read), (1, 32768))

    def test_what_is_cached_is_there_at_once_and_read_only(self) -> None:
        store, _ = self.seed()
        self.fire(store.read(3, 0, 100))
        view = self.successResultOf(store.read(3, 27_000, 768))
        self.assertEqual(view, self.pieces[3][27_000:])
        self.assertTrue(view.readonly)

    def test_readers_of_one_piece_share_one_read(self) -> None:
        store, storage = self.seed()
        self.reactor.pool = Later()
        answers = [store.read(1, begin, 16384) for begin in (0, 16384, 0)]
        answers[2].cancel()
        self.failureResultOf(answers[2], CancelledError)
        self.reactor.pool.run()
        self.assertEqual(self.fire(answers[0]), self.pieces[1][:16384])
        self.assertEqual(self.fire(answers[1]), self.pieces[1][16384:])
        self.assertEqual(storage.reads, 1)

    def test_readers_of_one_piece_share_its_failure(self) -> None:
        store, storage = self.seed()
        del storage._pieces[1]
        for answer in [store.read(1, begin, 16384) for begin in (0, 16384)]:
            self.fail_with(answer, StorageError)
        self.assertEqual(self.disk.cache.memory.used, 0)

    def test_what_is_likely_to_be_read_next_is_read_in_the_same_go(self) -> None:
        self.settings = DiskSettings(read_cache=4 * 32768)
        self.boot()
        store, storage = self.seed()
        then = [(0, 16384, 16384), (2, 0, 16384), (2, 16384, 16384), (1, 0, 16384)]
        self.assertEqual(self.fire(store.read(0, 0, 16384, then)), self.pieces[0][:16384])
        self.assertEqual(store.cached(2, 0, 16384), self.pieces[2][:16384])
        self.assertIsNone(store.cached(1, 0, 16384), "half the cache is for what is being sent")
        self.assertEqual(storage.reads, 2)

    def test_what_is_read_ahead_in_vain_fails_nobody(self) -> None:
        store, storage = self.seed()
        del storage._pieces[1]
        self.assertEqual(self.fire(store.read(0, 0, 16384, [(1, 0, 16384)])), self.pieces[0][:16384])
        self.assertEqual(self.disk.cache.memory.used, 32768)
        self.fail_with(store.read(1, 0, 16384), StorageError)

    def test_a_buffer_is_used_again_only_when_its_last_view_is_gone(self) -> None:
        memory = ReadMemory(8)
        self.assertTrue(memory.take(4) and memory.take(4))
        first = memory.buffer(4)
        whole = memory.lend(first)
        part = whole[1:3]
        del whole
        self.assertIsNot(memory.buffer(4), first)
        self.assertEqual(memory.used, 8)
        del part
        self.assertEqual(memory.used, 4)
        self.assertIs(memory.buffer(4), first)

    def test_a_piece_that_is_not_here_is_not_read(self) -> None:
        store = self.started(MemoryStorage(self.info))
        self.fail_with(store.read(0, 0, 16384), LocalProtocolError)

    def test_what_is_no_block_is_not_read(self) -> None:
        store, _ = self.seed()
        self.fail_with(store.read(0, 32767, 2), LocalProtocolError)

    def test_the_last_used_stay_cached_and_the_bytes_are_bounded(self) -> None:
        self.settings = DiskSettings(read_cache=70_000)
        self.boot()
        store, _ = self.seed()
        for index in (0, 1, 0, 2):
            self.fire(store.read(index, 0, 1))
        cached = [index for index in range(4) if store.cached(index, 0, 1) is not None]
        self.assertEqual(cached, [0, 2])
        self.assertEqual(self.disk.cache.memory.used, 65_536)

    def test_two_torrents_never_see_each_others_blocks(self) -> None:
        store, _ = self.seed()
        self.fire(store.read(0, 0, 1))
        other, _ = self.seed()
        self.assertIsNone(other.cached(0, 0, 1))

    def test_long_pieces_are_read_in_parts(self) -> None:
        self.settings = DiskSettings(read_ahead=20_000)
        self.boot()
        store, storage = self.seed()
        self.assertEqual(self.fire(store.read(0, 0, 16384)), self.content[:16384])
        self.assertEqual(storage.bytes_read, 20_000)
        self.assertEqual(self.fire(store.read(0, 16384, 16384)), self.content[16384:32768])  # over both parts
        self.assertEqual(self.fire(store.read(0, 30_000, 2768)), self.content[30_000:32768])

    def test_slow_peers_cannot_hold_more_than_the_budget(self) -> None:
        self.settings = DiskSettings(read_cache=32768, read_memory=70_000)
        self.boot()
        store, storage = self.seed()
        held = [self.fire(store.read(index, 0, 16384)) for index in (0, 1)]
        self.assertEqual(self.disk.cache.memory.used, 65_536)
        storage.bytes_read = 0
        held.append(self.fire(store.read(2, 0, 16384)))
        self.assertEqual((storage.bytes_read, self.disk.cache.memory.used), (16384, 65_536))
        self.assertEqual(held[2], self.pieces[2][:16384])
        held.clear()
        self.assertLessEqual(self.disk.cache.memory.used, 32768)
        self.fire(store.read(2, 0, 16384))
        self.assertEqual(storage.bytes_read, 16384 + 32768)

    def test_a_closed_torrent_leaves_nothing_in_memory(self) -> None:
        store, _ = self.seed()
        self.fire(store.read(0, 0, 1))
        self.fire(store.close())
        self.assertEqual(self.disk.cache.memory.used, 0)


class OtherStorages(StoreTestCase):
    def test_an_empty_torrent_starts_and_stops(self) -> None:
        info: Info = make_info(b"")
        store = self.disk.open(FileStorage(self.root, info), info, Journal(self.root / "journal"))
        self.assertTrue(self.fire(store.start()).have.complete)
        self.fire(store.close())
        self.assertEqual((self.root / "share").read_bytes(), b"")
