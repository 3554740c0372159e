"""The disk, shared by all torrents: a few threads, what waits for them, and when that is too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, DeferredLock, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import LocalProtocolError, StorageError
from bittwist.metainfo.geometry import BLOCK
from bittwist.metainfo.info import Info
from bittwist.settings import BYTES, COUNT_OR_NONE, SECONDS_OR_NONE, check_bounds
from bittwist.storage.interfaces import IStorage
from bittwist.storage.openfiles import MAX_OPEN
from bittwist.storage.readahead import ReadCache
from bittwist.storage.resume import Journal
from bittwist.storage.store import Kept, Recovered, Store
from bittwist.storage.workers import DiskReactor, Lane, Workers

__all__ = ["Disk", "DiskSettings", "Kept", "Recovered", "Store"]

MOST_THREADS = 64  # no disk answers more at once
MOST_READ_AHEAD = 1 << 30  # bytes: in one buffer


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """How much the disk may take on. Sizes are bytes."""

    threads: int = 2  # one hashes while the other writes; more contend for the interpreter
    high_water: int = 16 << 20  # waiting to be written: from here on peers are not read from
    low_water: int = 8 << 20  # and down to here, they are again
    memory_budget: int = 64 << 20  # pieces in flight of all torrents, gathered or waiting
    read_ahead: int = 1 << 20  # read at once, at most a piece
    read_cache: int = 8 << 20  # of what was read last
    read_memory: int = 32 << 20  # cached, being read, or held by peers that are slow to take it
    open_files: int = MAX_OPEN  # idle descriptors kept for the next use
    sync_after: float = 2.0  # seconds a written piece waits for others to be synced and recorded with

    def __post_init__(self) -> None:
        check_bounds(
            self,
            {
                "threads": (1, MOST_THREADS),
                "high_water": BYTES,
                "low_water": (0, self.high_water),
                "memory_budget": BYTES,
                "read_ahead": (BLOCK, MOST_READ_AHEAD),
                "read_cache": (0, BYTES[1]),
                "read_memory": BYTES,
                "open_files": COUNT_OR_NONE,
                "sync_after": SECONDS_OR_NONE,
            },
        )


class Disk:
    """Owns the disk threads' work and the back-pressure; `open` gives each torrent its Store."""

    _log = Logger()

    def __init__(self, reactor: DiskReactor, settings: DiskSettings = DiskSettings()) -> None:
        self.reactor = reactor
        self.settings = settings
        self.cache = ReadCache(settings.read_cache, settings.read_memory)
        self.syncing = DeferredLock()  # held while a torrent syncs
        self.pending = 0  # bytes of pieces waiting to be hashed and written
        self._workers = Workers(reactor, settings.threads)
        self._stores: list[Store] = []
        self._watchers: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._stopped = False
        self.behind = False  # above the high mark, and not yet below the low one

    def open(
        self,
        storage: IStorage,
        info: Info,
        journal: Journal | None = None,
        *,
        failed: Callable[[StorageError], None] | None = None,
    ) -> Store:
        """The store of one torrent, not started. `failed`: see Store."""
        if self._stopped:
            raise LocalProtocolError("a store was opened on a disk that is stopped")
        store = Store(self, storage, info, journal, failed if failed is not None else self._unheard)
        self._stores.append(store)
        return store

    def watch(self, paused: Callable[[], None], resumed: Callable[[], None]) -> Callable[[], None]:
        """Be told when the disk is behind, and when it has caught up. What is returned ends it."""
        watcher = (paused, resumed)
        self._watchers.append(watcher)
        if self.behind:
            paused()
        return lambda: self._watchers.remove(watcher)

    def stop(self) -> Deferred[None]:
        """Close the stores that are still open; fires when nothing is left to be done."""
        self._stopped = True
        closing = [store.close() for store in list(self._stores)]
        for closed in closing:
            closed.addErrback(self._not_clean)
        return gatherResults(closing).addCallback(lambda _: None)

    def lane(self) -> Lane:
        """For a store: where it hands in its work."""
        return Lane(self._workers)

    def queued(self, size: int) -> None:
        """For a store: so many more bytes wait to be written (fewer, if negative)."""
        self.pending += size
        if not self.behind and self.pending >= self.settings.high_water:
            self.behind = True
            for paused, _ in list(self._watchers):
                paused()
        elif self.behind and self.pending <= self.settings.low_water:
            self.behind = False
            for _, resumed in list(self._watchers):
                resumed()

    def closed(self, store: Store) -> None:
        """For a store: it is closed."""
        self._stores.remove(store)

    def _not_clean(self, failure: Failure) -> None:
        self._log.failure("a torrent's files were not closed cleanly", failure)

    def _unheard(self, error: StorageError) -> None:
        self._log.error("what was written did not reach the disk: {error}", error=error)
