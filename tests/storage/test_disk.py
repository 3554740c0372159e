"""Disk and Store: whole pieces in, blocks out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from bittwist.storage.assembler import Assembler
from bittwist.storage.disk import Disk, DiskSettings
from bittwist.storage.files import FileStorage
from bittwist.storage.memory import MemoryStorage
from tests.storage.fakes import FakeReactor
from tests.storage.torrents import content_of, make_info, pieces_of


class HappyPath(SynchronousTestCase):
    def setUp(self) -> None:
        self.content = content_of(100_000)
        self.info = make_info(self.content, [("a", 40_000), ("b/c", 0), ("b/d", 60_000)])
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.reactor = FakeReactor()
        self.disk = Disk(self.reactor, DiskSettings())

    def fire(self, d):
        self.reactor.turn()
        return self.successResultOf(d)

    def test_pieces_kept_are_files_on_disk(self) -> None:
        store = self.disk.open(FileStorage(self.root, self.info), self.info)
        self.assertEqual(self.fire(store.start()).have.count, 0)
        assembler = Assembler(self.info.geometry)
        for index, piece in enumerate(pieces_of(self.info, self.content)):
            for begin, length in self.info.geometry.blocks(index):
                assembler.put(index, begin, memoryview(piece)[begin : begin + length])
            view = assembler.take(index)
            self.assertTrue(self.fire(store.keep(index, view)).good)
            assembler.release(view)
        self.fire(store.close())
        self.assertEqual((self.root / "share/a").read_bytes(), self.content[:40_000])
        self.assertEqual((self.root / "share/b/c").read_bytes(), b"")
        self.assertEqual((self.root / "share/b/d").read_bytes(), self.content[40_000:])

    def test_a_block_is_read_and_its_neighbours_are_cached(self) -> None:
        store = self.disk.open(MemoryStorage(self.info, self.content), self.info)
        self.assertEqual(self.fire(store.start()).have.count, 4)
        self.assertIsNone(store.cached(1, 16384, 16384))
        self.assertEqual(self.fire(store.read(1, 0, 16384)), self.content[32768 : 32768 + 16384])
        self.assertEqual(store.cached(1, 16384, 16384), self.content[49152:65536])
