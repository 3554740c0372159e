"""From written to durable: batches of pieces are synced, then recorded in the journal.

The order is what a crash is survived by: a piece is in the journal only after its bytes are on the disk.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from bittwist.errors import StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.info import Info
from bittwist.storage.interfaces import FileStamp, IStorage
from bittwist.storage.resume import Journal
from bittwist.storage.workers import DiskReactor, Lane

RETRY = 30.0  # seconds after which a journal that could not be written is tried again


class Recording:
    """Owns what is written but not yet recorded, of one torrent between its start and its stop.

    A sync that fails means that written bytes may be lost, though reading still shows them: `failed` is told,
    what was not recorded is `doubtful`, and nothing is recorded any more. A journal that fails loses nothing
    but time after a crash: it is logged and tried again.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: DiskReactor,
        lane: Lane,
        syncing: DeferredLock,
        storage: IStorage,
        info: Info,
        journal: Journal | None,
        failed: Callable[[StorageError], None],
        delay: float,
    ) -> None:
        self._reactor = reactor
        self._lane = lane
        self._syncing = syncing
        self._storage = storage
        self._info = info
        self._journal = journal
        self._failed = failed
        self._delay = delay
        self._kept: list[int] = []
        self._lost: list[int] = []
        self._later: IDelayedCall | None = None
        self._turn = DeferredLock()  # held by a flush; by `halt`, for good
        self._stopped = False
        self._broken = False

    def kept(self, index: int) -> None:
        """The piece was written."""
        self._kept.append(index)
        self._flush_after(self._delay)

    def lost(self, index: int) -> None:
        """The piece turned out not to be right any more."""
        if index in self._kept:
            self._kept.remove(index)
        self._lost.append(index)
        self._flush_after(0)

    @property
    def doubtful(self) -> frozenset[int]:
        """Pieces that were written, but may not have reached the disk, for a sync failed."""
        return frozenset(self._kept) if self._broken else frozenset()

    async def halt(self) -> None:
        """No more batches; returns when the one under way is through. `finish` may follow."""
        self._stop()
        await self._turn.acquire()

    def finish(self) -> None:
        """In a disk thread, after all else: sync, and record the clean stop."""
        self._storage.sync()
        if self._journal is not None:
            self._journal.append(self._kept, self._lost)
            self._journal.stop(all_stamps(self._storage))

    def remark(self) -> Deferred[None]:
        """Write down which files there are now; fires when that is done, or could not be, which is logged."""
        return Deferred.fromCoroutine(self._remark())

    def _flush_after(self, delay: float) -> None:
        if self._later is None and not self._turn.locked and not self._stopped and self._journal:
            self._later = self._reactor.callLater(delay, self._start_flush)

    def _start_flush(self) -> None:
        self._later = None
        Deferred.fromCoroutine(self._flush()).addErrback(self._fault)

    async def _flush(self) -> None:
        await self._turn.acquire()
        delay = self._delay
        try:
            kept, self._kept = self._kept, []
            lost, self._lost = self._lost, []
            try:
                await self._sync()
                await self._lane.submit(lambda: self._record(kept, lost))
            except StorageError as error:
                self._kept = [index for index in kept if index not in self._lost] + self._kept
                self._lost = lost + self._lost
                if self._broken:
                    self._failed(error)
                    return
                delay = RETRY
                name = self._info.name
                self._log.warn("the journal of {name} was not written: {error}", name=name, error=error)
        finally:
            self._turn.release()
        if self._kept or self._lost:
            self._flush_after(delay)

    async def _remark(self) -> None:
        journal = self._journal
        if journal is None or self._stopped:
            return
        await self._turn.acquire()
        try:
            await self._lane.submit(lambda: _note_files(journal, self._storage))
        except StorageError as error:
            # After a crash, files that it does not know are hashed: nothing is lost but time.
            name = self._info.name
            self._log.warn("the journal of {name} was not written: {error}", name=name, error=error)
        finally:
            self._turn.release()
        if self._kept or self._lost:
            self._flush_after(self._delay)

    async def _sync(self) -> None:
        await self._syncing.acquire()  # one at a time for all torrents: the other threads go on reading
        try:
            await self._lane.submit(self._storage.sync)
        except StorageError:
            self._broken = True
            self._stop()
            raise
        finally:
            self._syncing.release()

    def _record(self, kept: list[int], lost: list[int]) -> None:
        assert self._journal is not None
        self._journal.append(kept, lost)

    def _stop(self) -> None:
        self._stopped = True
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _fault(self, failure: Failure) -> None:
        self._stop()
        self._log.failure("the journal of {name} is not kept any more", failure, name=self._info.name)


def begin(journal: Journal, info: Info, have: Bitfield, storage: IStorage) -> None:
    """In a disk thread: write down what is durably there at the start."""
    place = storage.place()
    if place is not None:  # else nothing can be there
        journal.begin(info, have, place, all_stamps(storage))


def all_stamps(storage: IStorage) -> tuple[FileStamp | None, ...]:
    """Of every file, and of the part file."""
    return (*storage.stamps(), storage.part_stamp())


def _note_files(journal: Journal, storage: IStorage) -> None:
    place = storage.place()
    if place is not None:
        journal.remark(place, all_stamps(storage))
