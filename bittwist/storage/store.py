"""One torrent's pieces: keeping, reading, checking, and what is known of them after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred, fail

from bittwist.errors import LocalProtocolError, StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.info import Info
from bittwist.storage.checking import Check, Progress
from bittwist.storage.interfaces import FileStamp, IStorage
from bittwist.storage.parts import PartLayout
from bittwist.storage.reads import Block, Reads
from bittwist.storage.recording import Recording, begin
from bittwist.storage.recovery import Plan, check_place, plan, strangers
from bittwist.storage.resume import Journal, Journaled
from bittwist.storage.verifier import block_digests, is_good, verify_piece

if TYPE_CHECKING:
    from bittwist.storage.disk import Disk

T = TypeVar("T")

NOT_OURS = "it is there already and has nothing of this torrent in it"


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a whole piece: `good` ones are written. `digests` of its blocks if bad, or if asked."""

    good: bool
    digests: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a start found: the pieces that are right, and how many had to be hashed to know."""

    have: Bitfield
    checked: int


@dataclass(frozen=True, slots=True)
class _Found:
    journaled: Journaled | None
    stamps: tuple[FileStamp | None, ...]
    plan: Plan


class Store:
    """The way of one torrent's pieces to its storage and back; made by `Disk.open`.

    `failed` is told when bytes that were written turn out not to have reached the disk: the pieces are not to
    be trusted, and the store is to be started again. `have` is what is right, kept up to date.
    """

    def __init__(
        self,
        disk: Disk,
        storage: IStorage,
        info: Info,
        journal: Journal | None,
        failed: Callable[[StorageError], None],
    ) -> None:
        self._disk = disk
        self._storage = storage
        self._info = info
        self._journal = journal
        self._failed = failed
        self._lane = disk.lane()
        self._reads = Reads(self._lane, storage, info.geometry, disk.cache, disk.settings.read_ahead)
        self._recording: Recording | None = None  # None until started, and after a stop
        self._starting: Deferred[Recovered] | None = None
        self._doubtful: frozenset[int] = frozenset()  # written, but the sync failed: never trusted again
        self._ours = False  # all that is there was looked at, and is ours to write over
        self._closed = False
        self.skipped: frozenset[int] = (
            frozenset()
        )  # files that a start does not make; then `select` changes it
        self.have = Bitfield(info.geometry.num_pieces)

    def start(
        self, *, check: bool = False, progress: Progress | None = None, force: bool = False
    ) -> Deferred[Recovered]:
        """Find out what is there and make what is missing; fires before any other call may be made.

        With `check`, all that is there is hashed. StorageError where the save folder is not the one it was,
        or, without `force`, where a file would be written over that nothing vouches for. May be called again
        after it failed, or after the store did; cancellable.
        """
        if self._closed or self._starting is not None:
            return fail(LocalProtocolError("a store was started twice, or after it was closed"))
        self._starting = starting = Deferred.fromCoroutine(self._start(check, progress, force))
        if starting.called:
            self._starting = None
        return starting

    def recheck(self, progress: Progress | None = None) -> Deferred[Recovered]:
        """Hash all that is there, whatever vouches for it. Nothing may be kept meanwhile."""
        return self.start(check=True, progress=progress, force=True)

    def select(self, skipped: frozenset[int]) -> Deferred[None]:
        """Have all files made but those skipped; fires when they are there, with what was kept of them.

        Nothing is removed. StorageError or DiskFull if one cannot be made. Only when started; before that,
        set `skipped`.
        """
        recording = self._recording
        if recording is None:
            return fail(self._not_open())
        self.skipped = skipped

        def made(_result: None) -> Deferred[None]:
            self.laid_out = skipped
            return recording.remark()

        return self._lane.submit(lambda: self._storage.prepare(skipped)).addCallback(made)

    def rename(self, file: int, path: PurePosixPath) -> Deferred[None]:
        """Give a file another path; StorageError if something has it. Only when started."""
        if self._recording is None:
            return fail(self._not_open())
        return self._lane.submit(lambda: self._storage.rename(file, path))

    def keep(self, index: int, view: memoryview, *, digests: bool = False) -> Deferred[Kept]:
        """Hash a whole piece, and write it if it is right. `view` must not change until this fires.

        StorageError or DiskFull if a right piece could not be written. Cancelling only stops the waiting.
        """
        recording = self._recording
        if recording is None:
            return fail(self._not_open())
        size = len(view)
        self._disk.queued(size)

        def run() -> Kept:
            if not verify_piece(self._info, index, view):
                return Kept(False, block_digests(view))
            self._storage.write(index, 0, view)
            return Kept(True, block_digests(view) if digests else None)

        def done(result: T) -> T:
            self._disk.queued(-size)
            if isinstance(result, Kept) and result.good:
                self.have.add(index)
                recording.kept(index)
            return result

        return self._lane.submit(run).addBoth(done)

    def chunk(self, index: int, begin: int, length: int) -> tuple[int, memoryview] | None:
        """A read-only chunk of the piece that has these bytes, and where in the piece it begins, if it is in
        memory: what was read together need not be looked up block by block."""
        return self._reads.chunk(index, begin, length)

    def cached(self, index: int, begin: int, length: int) -> memoryview | None:
        """The bytes, read-only, if they are in memory."""
        return self._reads.cached(index, begin, length)

    def read(self, index: int, begin: int, length: int, then: Iterable[Block] = ()) -> Deferred[memoryview]:
        """Bytes of a piece that is right, read-only; StorageError if they cannot be read.

        `then`: blocks of such pieces that are likely to be read next.
        """
        if self._recording is None:
            return fail(self._not_open())
        if index not in self.have:
            return fail(LocalProtocolError(f"piece {index} is not here to be read"))
        return self._reads.read(index, begin, length, (block for block in then if block[0] in self.have))

    def check(self, index: int) -> Deferred[bool]:
        """Hash one piece again, because somebody says it is wrong; if it is, it is not `have` any more."""
        recording = self._recording
        if recording is None:
            return fail(self._not_open())

        def run() -> bool:
            size = min(self._info.geometry.piece_size(index), self._disk.settings.read_ahead)
            return is_good(self._storage, self._info, index, memoryview(bytearray(size)))

        def done(good: bool) -> bool:
            if not good and self.have.discard(index):
                self._reads.forget(index)
                recording.lost(index)
            return good

        return self._lane.submit(run).addCallback(done)

    def close(self) -> Deferred[None]:
        """Wait for what is under way, make it durable, record the clean stop. StorageError if that failed.

        A start that is under way is cancelled.
        """
        if self._closed:
            return fail(LocalProtocolError("a store was closed twice"))
        self._closed = True
        return Deferred.fromCoroutine(self._close())

    async def _start(self, check: bool, progress: Progress | None, force: bool) -> Recovered:
        try:
            await self._pause()
            found = await self._lane.submit(lambda: self._look(check))
            doubtful = [index for index in found.plan.doubtful if index not in self._doubtful]
            checking = Check(self._lane, self._storage, self._info, doubtful, progress)
            good = await checking.run(self._disk.settings.threads)
            have = found.plan.trusted.copy()
            for index in good:
                have.add(index)
            for index in self._doubtful:
                have.discard(index)
            if not force and not self._ours:
                self._refuse_strangers(found, have)
            self.laid_out = skipped = self.skipped
            await self._lane.submit(lambda: self._settle(have, bool(good), skipped))
            self.have = have
            self._doubtful = frozenset()
            self._recording = Recording(
                self._disk.reactor,
                self._lane,
                self._disk.syncing,
                self._storage,
                self._info,
                self._journal,
                self._failed,
                self._disk.settings.sync_after,
            )
            return Recovered(have.copy(), len(doubtful))
        finally:
            self._starting = None

    async def _pause(self) -> None:
        """Before a start that is not the first: let what is under way end."""
        recording, self._recording = self._recording, None
        if recording is None:
            return
        await recording.halt()
        await self._lane.idle()
        self._doubtful |= recording.doubtful
        self._reads.forget()

    def _look(self, check: bool) -> _Found:
        """In a disk thread: what was, what is, and what follows from it. Nothing is changed."""
        self._storage.close()
        journaled = self._journal.read(self._info) if self._journal is not None else None
        stamps = self._storage.stamps()
        check_place(self._info.name, journaled, self._storage.place(), stamps)
        parts = (PartLayout(self._info), self._storage.part_stamp())
        found = plan(self._info.geometry, journaled, stamps, parts=parts, check=check)
        return _Found(journaled, stamps, found)

    def _refuse_strangers(self, found: _Found, have: Bitfield) -> None:
        unknown = strangers(self._info.geometry, found.journaled, have, found.stamps)
        if unknown:
            entry = self._info.files[unknown[0]]
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            path = "/".join((self._info.name, *entry.path))
            raise StorageError(path + more, NOT_OURS)

    def _settle(self, have: Bitfield, hashed: bool, skipped: frozenset[int]) -> None:
        """In a disk thread: make what is missing, and write down what is there."""
        if hashed:
            # They were read from memory, perhaps: no record before the disk has them (SECURITY.md F2).
            self._storage.sync(everything=True)
        self._ours = True
        try:
            self._storage.prepare(skipped)
        except StorageError:
            self._note_down(have)  # what was made before the room ended is ours when it is tried again
            raise
        self._note_down(have)

    def _note_down(self, have: Bitfield) -> None:
        if self._journal is not None:
            begin(self._journal, self._info, have, self._storage)

    async def _close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        recording, self._recording = self._recording, None
        if recording is not None:
            await recording.halt()
        await self._lane.idle()
        self._reads.forget()
        try:
            if recording is not None and not recording.doubtful:
                await self._lane.submit(recording.finish)
        finally:
            await self._lane.submit(self._storage.close)
            self._disk.closed(self)

    def _not_open(self) -> StorageError:
        return StorageError(self._info.name, "it is not open")
