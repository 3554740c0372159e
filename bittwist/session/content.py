"""The pieces of one torrent, once its metadata is known: their store, and who fetches and gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from random import Random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from bittwist.errors import StorageError
from bittwist.metainfo.bitfield import Bitfield
from bittwist.metainfo.info import Info
from bittwist.session.downloads import Downloads, DownloadsOwner
from bittwist.session.fastpieces import FastPieces
from bittwist.session.settings import SessionSettings
from bittwist.session.statistics import Tally
from bittwist.session.uploads import Taker, Uploads
from bittwist.storage.assembler import Assembler
from bittwist.storage.disk import Disk
from bittwist.storage.interfaces import IStorage
from bittwist.storage.resume import Journal
from bittwist.swarm.blame import Blame
from bittwist.swarm.choker import Choker
from bittwist.swarm.picker import Picker
from bittwist.swarm.priorities import Priority, Wishes, levels


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a torrent is, in pieces and bytes; `have` are the verified pieces, None before any check."""

    have: Bitfield | None = None
    pieces: int = 0
    done: int = 0
    skipped: int = 0  # neither here nor wanted


class Content:
    """Made when a check begins, closed when the torrent stops; `downloads` and `uploads` follow the check."""

    downloads: Downloads
    uploads: Uploads

    def __init__(
        self,
        clock: IReactorTime,
        info: Info,
        storage: IStorage,
        journal_path: Path | None,
        disk: Disk,
        random: Random,
        settings: SessionSettings,
        failed: Callable[[StorageError], None],
        wishes: Wishes,
    ) -> None:
        self._clock = clock
        self._random = random
        self._settings = settings
        self.info = info
        journal = Journal(journal_path) if journal_path is not None else None
        self._store = disk.open(storage, info, journal, failed=failed)
        self._store.skipped = wishes.skipped
        self._wishes = wishes
        self._laying_out = False
        self._ready = False  # checked
        self.checked = 0  # bytes looked at so far
        self._picker = Picker(info.geometry, random, max_active=1)
        self.share_memory(settings.disk.memory_budget)

    def check(self, *, force: bool, everything: bool) -> Deferred[None]:
        """Lay the files out and find out which pieces are here; StorageError where that cannot be.

        Files that are there already and that neither the journal nor any piece vouches for are
        refused unless `force` is set. With `everything`, all pieces are hashed.
        """
        return Deferred.fromCoroutine(self._check(force, everything))

    async def _check(self, force: bool, everything: bool) -> None:
        recovered = await self._store.start(check=everything, force=force, progress=self._looked_at)
        self._picker.restore(recovered.have)
        await self._lay_out()  # what is wanted may be more than when it began
        self._picker.prioritise(self._levels(), sequential=self._wishes.sequential)

    def _looked_at(self, done: int, total: int) -> None:
        self.checked = done

    def share_memory(self, budget: int) -> None:
        """How many bytes pieces in flight may take; one piece may be in flight whatever its size."""
        self._picker.max_active = max(1, budget // self.info.piece_length)

    def exchange(self, owner: DownloadsOwner, takers: Callable[[], Iterable[Taker]], tally: Tally) -> None:
        """Make `downloads` and `uploads`; after the check."""
        self._ready = True
        self.downloads = Downloads(
            self._clock,
            self.info.geometry,
            self._picker,
            Assembler(self.info.geometry),
            self._store,
            Blame(),
            tally,
            owner,
        )
        self.uploads = Uploads(
            self._clock,
            Choker(self._settings.choker, self._random),
            self._store,
            self._picker.have,
            tally,
            takers,
            lambda: self._picker.complete,
            owner.storage_failed,
            FastPieces(
                self.info.info_hash.short,
                self.info.geometry,
                self._picker.have,
                lambda: self._settings.allowed_fast,
            ),
            lambda: self._settings.suggest,
        )

    # What is wanted

    def wish(self, wishes: Wishes) -> Deferred[None]:
        """Fetch this from now on; what is wanted anew is fetched when its files are there.

        Fires when there is nothing more to be done for that; StorageError if a file cannot be made.
        """
        self._wishes = wishes
        self._store.skipped = wishes.skipped
        if not self._ready:
            return succeed(None)
        self._prioritise()
        return Deferred.fromCoroutine(self._lay_out_and_go_on())

    async def _lay_out_and_go_on(self) -> None:
        if self._laying_out or not self._unmade:
            return  # whoever is at it goes on until nothing is wanted that is not there
        self._laying_out = True
        try:
            await self._lay_out()
        finally:
            self._laying_out = False
        self._prioritise()

    def _prioritise(self) -> None:
        self.downloads.more_to_come = not self.laid_out
        self.downloads.prioritise(self._levels(), sequential=self._wishes.sequential)

    async def _lay_out(self) -> None:
        while self._unmade:
            await self._store.select(self._wishes.skipped & self._store.laid_out)

    @property
    def _unmade(self) -> frozenset[int]:
        """Files that are wanted and not there yet."""
        return self._store.laid_out - self._wishes.skipped

    @property
    def laid_out(self) -> bool:
        """Whether all files are there that are wanted."""
        return not self._unmade

    def _levels(self) -> bytes:
        """How much each piece is wanted now: what has no file yet waits for it."""
        info = self.info
        unmade = {file: Priority.SKIP for file in self._unmade}
        return levels(info.geometry, info.files, self._wishes.changed(unmade, len(info.files)))

    def rename(self, file: int, path: PurePosixPath) -> Deferred[None]:
        """Give a file another path below the save folder."""
        return self._store.rename(file, path)

    def lacks(self, index: int) -> bool:
        """Whether the piece is wanted and not here."""
        return self._picker.wants(index) and index not in self._picker.have

    def missing(self) -> tuple[int, ...]:
        """The pieces that are wanted and not here."""
        return tuple(index for index in self._picker.have.missing() if self._picker.wants(index))

    def read(self, index: int, begin: int, length: int) -> Deferred[memoryview]:
        """Bytes of a verified piece, read-only."""
        return self._store.read(index, begin, length)

    @property
    def progress(self) -> Progress:
        return Progress(self._picker.have, self._picker.have.count, self.bytes_done, self.bytes_skipped)

    @property
    def bytes_skipped(self) -> int:
        """The size of the pieces that are neither here nor wanted."""
        have, geometry = self._picker.have, self.info.geometry
        left = have.num_pieces - have.count - self._picker.wanted_left
        last = geometry.num_pieces - 1
        skipped = left * geometry.piece_length
        if left and last not in have and not self._picker.wants(last):
            skipped -= geometry.piece_length - geometry.piece_size(last)
        return skipped

    @property
    def complete(self) -> bool:
        """Whether all that is wanted is here."""
        return self.downloads.finished

    @property
    def whole(self) -> bool:
        """Whether all there is is here."""
        return self._picker.have.complete

    @property
    def partial(self) -> bool:
        """A partial seed (BEP 21): all that is wanted is here, and not all there is."""
        return self.complete and not self.whole

    @property
    def bytes_done(self) -> int:
        """The size of the verified pieces."""
        have, geometry = self._picker.have, self.info.geometry
        done = have.count * geometry.piece_length
        last = geometry.num_pieces - 1
        if last >= 0 and last in have:
            done -= geometry.piece_length - geometry.piece_size(last)
        return done

    def close(self) -> Deferred[None]:
        """Everything written is synced and vouched for when it fires."""
        return self._store.close()
