"""What the tests of Disk and Store have in common."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from bittwist.storage.disk import Disk, DiskSettings, Store
from bittwist.storage.memory import MemoryStorage
from bittwist.storage.resume import Journal
from tests.storage.fakes import FakeReactor
from tests.storage.torrents import content_of, make_info, pieces_of

CONTENT = content_of(4 * 32768 - 5000)


class Counting(MemoryStorage):
    """Counts the reads and the bytes read."""

    reads = 0
    bytes_read = 0

    def read_into(self, index: int, begin: int, view: memoryview) -> None:
        self.reads += 1
        self.bytes_read += len(view)
        super().read_into(index, begin, view)


class StoreTestCase(SynchronousTestCase):
    content = CONTENT
    settings = DiskSettings()

    def setUp(self) -> None:
        self.info = make_info(self.content, [("a", 40_000), ("b/c", 0), ("b/d", len(self.content) - 40_000)])
        self.pieces = pieces_of(self.info, self.content)
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.boot()

    def boot(self) -> None:
        self.reactor = FakeReactor()
        self.disk = Disk(self.reactor, self.settings)

    def fire(self, answer: Deferred):
        self.reactor.turn()
        return self.successResultOf(answer)

    def fail_with(self, answer: Deferred, kind: type[Exception]) -> Exception:
        self.reactor.turn()
        return self.failureResultOf(answer, kind).value

    def started(self, storage, journal: Journal | None = None) -> Store:
        store = self.disk.open(storage, self.info, journal)
        self.fire(store.start())
        return store

    def seed(self) -> tuple[Store, Counting]:
        storage = Counting(self.info, self.content)
        store = self.started(storage)
        storage.reads = storage.bytes_read = 0
        return store, storage
